"""Units of a county: its disease control centre, a maternity hospital, clinics of its towns."""

from collections.abc import Sequence
from datetime import date

from gateway.sample.calendar import as_date
from gateway.sample.tables import Tables
from gateway.v1 import types_pb2 as t

_OPENED = date(2016, 1, 1)
_TOWNS = "城关东街西关南城河西新城柳林北庄龙泉石桥马家沙河南坪水头安泽高村"
_CREDIT = "0123456789ABCDEFGHJKLMNPQRTUWXY"
_CREDIT_BASE = 31


def credit_code(division: str, serial: int) -> str:
    """Return a unified social credit code (GB 32100-2015) with valid check characters."""
    body = f"{serial:08d}"
    total = sum(
        int(digit) * weight for digit, weight in zip(body, (3, 7, 9, 10, 5, 8, 4, 2), strict=True)
    )
    check = (11 - total % 11) % 11
    first_17 = f"12{division}{body}{'X' if check == 10 else check}"  # noqa: PLR2004  GB 11714
    weighted = sum(
        _CREDIT.index(c) * pow(3, place, _CREDIT_BASE) for place, c in enumerate(first_17)
    )
    return first_17 + _CREDIT[(_CREDIT_BASE - weighted % _CREDIT_BASE) % _CREDIT_BASE]


def centre_code(division: str) -> str:
    """Return the unit code of a city's or county's disease control centre."""
    return f"{division}0001"


def city_centre(tables: Tables, city: str, organisation: str = "") -> t.Unit:
    """Return a city's disease control centre, run by `organisation`, by default the city."""
    name = f"{tables.division(city).name}疾病预防控制中心"
    return _unit(city, 1, name, t.Unit.LEVEL_CITY_CDC, "", organisation or city)


def county_units(
    tables: Tables, county: str, *, clinics: int = 6, organisation: str = ""
) -> tuple[t.Unit, ...]:
    """Return a county's centre and its clinics, centre first; run by the county by default."""
    division = tables.division(county)
    runs, centre = organisation or county, centre_code(county)
    above = centre_code(division.parent)
    units = [
        _unit(county, 1, f"{division.name}疾病预防控制中心", t.Unit.LEVEL_COUNTY_CDC, above, runs),
        _unit(county, 2, f"{division.name}妇幼保健院", t.Unit.LEVEL_MATERNITY, centre, runs),
    ]
    for number in range(clinics - 1):
        place = number * 2 % len(_TOWNS)
        town = _TOWNS[place : place + 2]
        name = f"{division.name}{town}镇卫生院接种门诊"
        level = t.Unit.LEVEL_VACCINATION_UNIT
        units.append(_unit(county, number + 3, name, level, centre, runs))
    return tuple(units)


def clinics_of(units: Sequence[t.Unit]) -> tuple[t.Unit, ...]:
    """Return the units that vaccinate."""
    centres = (t.Unit.LEVEL_COUNTY_CDC, t.Unit.LEVEL_CITY_CDC, t.Unit.LEVEL_PROVINCE_CDC)
    return tuple(unit for unit in units if unit.level not in centres)


def _unit(
    division: str, serial: int, name: str, level: t.Unit.Level.ValueType, parent: str, runs: str
) -> t.Unit:
    return t.Unit(
        unit_code=f"{division}{serial:04d}",
        name=name,
        division_code=division,
        level=level,
        parent_unit_code=parent,
        organisation_code=runs,
        active_from_date=as_date(_OPENED),
        credit_code=credit_code(division, serial),
    )
