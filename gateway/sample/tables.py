"""What the sample needs of the province's tables: divisions, vaccines, the dated schedule."""

import csv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from gateway.config.strict import SettingsError


@dataclass(frozen=True, slots=True)
class Division:
    """A province, city or county of GB/T 2260."""

    code: str
    name: str
    parent: str


@dataclass(frozen=True, slots=True)
class DoseRule:
    """One row of the schedule: in force on the days from..until, for one dose of one series.

    `codes` are the vaccine codes of the dose; `before_months` 0: no recommended end; intervals are
    to dose `reference` and 0 where there is none.
    """

    since: date
    until: date
    series: str
    dose: int
    codes: tuple[str, ...]
    minimum_months: int
    before_months: int
    interval_days: int
    interval_months: int
    reference: int


@dataclass(frozen=True, slots=True)
class Tables:
    """The tables of one set of policies."""

    divisions: tuple[Division, ...]
    schedule: tuple[DoseRule, ...]

    @property
    def cities(self) -> tuple[Division, ...]:
        """The cities."""
        return tuple(d for d in self.divisions if d.code.endswith("00") and d.parent)

    def counties(self, city: str = "") -> tuple[Division, ...]:
        """Return the counties of a city, or all."""
        return tuple(
            d for d in self.divisions if not d.code.endswith("00") and city in ("", d.parent)
        )

    def division(self, code: str) -> Division:
        """Return the division of a code; raises KeyError."""
        for division in self.divisions:
            if division.code == code:
                return division
        raise KeyError(code)


def load(folder: Path) -> Tables:
    """Return the tables of a policies folder; raises SettingsError naming the wrong file."""
    return Tables(
        divisions=tuple(
            Division(row["code"], row["name_zh"], row["parent"])
            for row in _rows(folder / "tables" / "divisions.csv")
        ),
        schedule=tuple(_rule(row) for row in _rows(folder / "tables" / "schedule.csv")),
    )


def _rows(path: Path) -> Iterator[dict[str, str]]:
    try:
        with path.open(encoding="utf-8", newline="") as file:
            yield from csv.DictReader(file, strict=True)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise SettingsError(f"{path}: cannot be read as CSV") from error


def _rule(row: Mapping[str, str]) -> DoseRule:
    return DoseRule(
        since=date.fromisoformat(row["effective_from"]),
        until=date.fromisoformat(row["effective_to"] or date.max.isoformat()),
        series=row["series"],
        dose=int(row["dose_no"]),
        codes=tuple(row["codes"].split("|")),
        minimum_months=int(row["min_age_months"]),
        before_months=int(row["recommended_before_months"] or 0),
        interval_days=int(row["min_interval_days"] or 0),
        interval_months=int(row["min_interval_months"] or 0),
        reference=int(row["interval_ref_dose"] or 0),
    )
