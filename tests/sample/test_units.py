import pytest

from gateway.names import UNIT_CODE
from gateway.sample.province import units_of
from gateway.sample.units import centre_code, clinics_of, credit_code
from gateway.v1 import types_pb2 as t
from tests.sample.made import COUNTIES, found


def test_every_unit_hangs_below_its_county_and_city():
    units = units_of(found(), COUNTIES)
    codes = [unit.unit_code for unit in units]
    assert len(set(codes)) == len(codes) == 2 + 2 * 7
    assert all(UNIT_CODE.fullmatch(code) for code in codes)
    for unit in units:
        assert unit.parent_unit_code in (*codes, "")
        assert unit.division_code == unit.unit_code[:6]
    assert codes[0] == centre_code("140100")


def test_centres_do_not_vaccinate():
    units = units_of(found(), COUNTIES)
    levels = {unit.level for unit in clinics_of(units)}
    assert levels == {t.Unit.LEVEL_VACCINATION_UNIT, t.Unit.LEVEL_MATERNITY}


@pytest.mark.parametrize("serial", range(1, 60))
def test_credit_codes_have_their_check_characters(serial):
    """GB 32100-2015: the weighted sum of all eighteen, the last with weight one, is divisible by 31."""
    alphabet = "0123456789ABCDEFGHJKLMNPQRTUWXY"
    code = credit_code("140105", serial)
    assert len(code) == 18
    weighted = sum(alphabet.index(c) * pow(3, place, 31) for place, c in enumerate(code[:17]))
    assert (weighted + alphabet.index(code[17])) % 31 == 0
