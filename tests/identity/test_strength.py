"""The rules of a new password: each just kept and just broken, and the tricks around them."""

from dataclasses import replace

import pytest
from zxcvbn.matching import L33T_TABLE, enumerate_l33t_subs, relevant_l33t_subtable

from gateway.identity import strength
from gateway.identity.strength import Names
from tests.identity.office import BETTER, GOOD, PROFILE, RULES

NAMES = Names("hub-upload", "太原市疾病预防控制中心", "140100", RULES.blocklist.words)


def rules_broken(password: str, old: str | None = None, names: Names = NAMES) -> set[str]:
    return {one.rule for one in strength.judge(password, old, names, PROFILE)}


@pytest.mark.parametrize(
    "password", [GOOD, BETTER, "梨花带雨-Lampion-7", "Tz7#kk2mQx9v", "🦊🦊-Granite-Lampion-4"]
)
def test_good_passwords(password: str) -> None:
    assert rules_broken(password) == set()


@pytest.mark.parametrize(
    ("password", "rules"),
    [
        ("Tz7#kk2mQx9", {"PW-LENGTH"}),
        ("Tz7#kk2mQx9v", set()),
        ("Tz7#" * 31 + "Wq9!", {"PW-STRENGTH"}),
        ("granite-Lampion-44" + "x7Q" * 36 + "ab", set()),
        ("granite-Lampion-44" + "x7Q" * 36 + "abc", {"PW-LENGTH"}),
        ("granitelampion-vesper", {"PW-CLASSES"}),
        ("granitelampion-vesper7", set()),
        ("Granite\u0000Lampion44", {"PW-CHARACTERS"}),
        ("Granite\tLampion.44", {"PW-CHARACTERS"}),
        ("Granite\ud800Lampion.44", {"PW-CHARACTERS"}),
        ("G" * 1025, {"PW-CHARACTERS"}),
        ("Aa1!Aa1!Aa1!", {"PW-STRENGTH"}),
    ],
)
def test_each_rule_just_kept_and_just_broken(password: str, rules: set[str]) -> None:
    assert rules_broken(password) == rules


@pytest.mark.parametrize(
    "password",
    [
        "Upload-Granite-44",
        "UPL0AD-granite-44",
        "Granite-140100-Zx",
        "Granite7-疾病预防-Zx",
        "Granite7-预防控制-Zx",
        "Ｕｐｌｏａｄ-Granite-44",
    ],
)
def test_names_of_account_and_organisation_are_refused_in_every_spelling(password: str) -> None:
    assert "PW-NAMES" in rules_broken(password)


@pytest.mark.parametrize(
    "password",
    [
        "Shanxi.CDC.0351",
        "Yimiao.Jikong.2026",
        "Vacc1ne-Shanx1-2026",
        "Taiyuan@CDC-2026!",
        "疫苗接种Mianyi-2026",
    ],
)
def test_words_of_the_field_do_not_count(password: str) -> None:
    """zxcvbn alone gives the first of these its best mark."""
    assert "PW-WORDS" in rules_broken(password)


@pytest.mark.parametrize(
    "password", ["Jiaocheng#Xian-2026", "J1aoCheng.7:Xian", "Jcxjbyfkzzx-2026"]
)
def test_an_organisations_name_in_pinyin_does_not_count(password: str) -> None:
    """Whole or by first letters, with look-alikes; none of it stands in the blocklist's own words."""
    county = replace(NAMES, organisation="交城县疾病预防控制中心")
    assert "PW-WORDS" in rules_broken(password, names=county)
    assert "PW-WORDS" not in rules_broken(password)


def test_a_short_name_of_an_organisation_is_refused_whole() -> None:
    assert "PW-NAMES" in rules_broken(
        "Granite7-阳泉-Zxq", names=replace(NAMES, organisation="阳泉", words=())
    )


def test_the_old_password_must_not_shine_through() -> None:
    assert rules_broken(GOOD, GOOD) == {"PW-SIMILAR"}
    assert rules_broken(GOOD + "123", GOOD) == {"PW-SIMILAR"}
    assert rules_broken(GOOD + "1234", GOOD) == set()
    assert rules_broken(GOOD.replace("9", "８"), GOOD) == {"PW-SIMILAR"}
    assert rules_broken(GOOD, "\ud800") == set()


def test_violations_help_in_both_languages_and_show_nothing_of_the_password() -> None:
    for one in strength.judge("Upload1!", "Upload1!", NAMES, PROFILE):
        assert one.field == "new_password"
        assert "{" not in one.english + one.chinese
        assert "Upload" not in one.english + one.chinese
        assert any("\u4e00" <= character <= "\u9fff" for character in one.chinese)


@pytest.mark.parametrize(
    ("new", "old", "count"),
    [("", "", 0), ("abc", "", 3), ("", "ab", 2), ("kitten", "sitting", 3), ("abc", "acb", 2)],
)
def test_edits(new: str, old: str, count: int) -> None:
    assert strength.edits(new, old) == count


def test_no_password_makes_the_judge_try_hundreds_of_readings() -> None:
    """zxcvbn 4.5.0 took 10 s, holding the interpreter, for 72 characters of signs that look like letters."""
    signs = "{%86(5$5a1<(541024c$63%(|444a741b<04+3$573!3b3$9407a([a9(|c+0+b<99%5+1%@"
    table = relevant_l33t_subtable(signs, L33T_TABLE)
    assert len(enumerate_l33t_subs(table)) > 700
    readable = strength.readable(signs)
    assert len(enumerate_l33t_subs(relevant_l33t_subtable(readable, L33T_TABLE))) < 10
    assert "PW-STRENGTH" not in rules_broken(signs[:20] + "Aa")
    # An ordinary one is judged as it is.
    assert strength.readable("P@$$w0rd!2026") == "P@$$w0rd!2026"
