"""A sample that the tests of this room look at; made once per process."""

from functools import cache

from gateway.config.policies import shipped
from gateway.sample import files, tables
from gateway.sample.family import Family
from gateway.sample.province import FAULTLESS, Province, Shares, units_of

COUNTIES = ("140105", "140212")


@cache
def found() -> tables.Tables:
    return tables.load(shipped("policies"))


def province(children: int, *, seed: int = 1, shares: Shares = FAULTLESS) -> Province:
    return Province(
        found(), units_of(found(), COUNTIES), seed=seed, children=children, shares=shares
    )


@cache
def families() -> tuple[Family, ...]:
    """Three hundred faultless families."""
    return tuple(province(300).families())


@cache
def defective() -> tuple[Family, ...]:
    """Families of which most have a defect, so that every kind occurs."""
    return tuple(province(400, shares=Shares(card=0.4, dose=0.5, late=0.05)).families())


@cache
def records() -> files.Records:
    return files.collect(province(300, shares=Shares(card=0.1, dose=0.1, late=0.02)))
