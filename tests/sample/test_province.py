from gateway.sample.province import Shares, choose_counties, units_of
from tests.sample.made import defective, families, found, province


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others():
    def content(seed):
        return [
            message.SerializeToString(deterministic=True)
            for family in province(40, seed=seed, shares=Shares(0.2, 0.2, 0.1)).families()
            for message in (family.child, *family.doses)
        ]

    assert content(3) == content(3)
    assert content(3) != content(4)


def test_a_faultless_sample_has_no_truth():
    assert not any(family.truth for family in families())


def test_children_live_in_every_unit_that_vaccinates():
    assert len({family.unit.unit_code for family in families()}) == 12


def test_about_the_stated_share_has_a_defect():
    share = sum(bool(family.truth) for family in defective()) / len(defective())
    assert 0.85 < share <= 1


def test_counties_follow_the_size_of_the_sample():
    assert len(choose_counties(found(), 1, 10)) == 3
    assert len(choose_counties(found(), 1, 7000)) == 10
    assert len(choose_counties(found(), 1, 1_000_000)) == 117


def test_units_are_given_for_any_counties():
    assert len(units_of(found(), ["140105"], clinics=3)) == 1 + 4
