"""The cases beside the policies: what ships is right, and a folder whose cases fail is not used."""

import shutil
from pathlib import Path

import pytest

from gateway.config.policies import shipped
from gateway.policy import cases
from gateway.policy.bundle import BundleError
from gateway.policy.engine import ERROR, Engine

CEDAR = shipped("policies") / "cedar"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(CEDAR, tmp_path / "cedar"))


def rewrite(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def test_what_ships_is_right() -> None:
    assert isinstance(cases.trusted(CEDAR), Engine)


def test_every_policy_decides_a_case_and_every_action_is_denied_in_one() -> None:
    found = cases.load(CEDAR)
    assert {one.name for one in cases.trusted(CEDAR).policies} <= {
        name for case in found.case for name in case.policies
    }
    allowed = {case.action for case in found.case if case.allowed}
    denied = {case.action for case in found.case if not case.allowed and case.policies != (ERROR,)}
    assert allowed == denied


def test_a_folder_whose_cases_fail_is_not_used(folder: Path) -> None:
    rewrite(folder / "03-governance.cedar", 'in Role::"auditor"', 'in Role::"admin"')
    with pytest.raises(BundleError, match=r"cases fail: .*province's auditor: SearchLeaves"):
        cases.trusted(folder)


def test_a_case_is_about_the_policies_that_decide_too(folder: Path) -> None:
    rewrite(
        folder / "cases" / "02-records.toml",
        'policies = ["P01-upload"]',
        'policies = ["P02-upload-delegated"]',
    )
    [failure] = cases.failing(Engine(cases.bundle.load(folder)), cases.load(folder))
    assert failure.decision.policies == ("P01-upload",)
    assert failure.case.name == "county uploads for its own unit"


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("allowed = true", 'allowed = "yes"', "allowed"),
        ("allowed = true", "alowed = true", "alowed"),
        (
            'name = "city uploads for a county below"',
            'name = "county uploads for its own unit"',
            "no two of one name",
        ),
        ("[[case]]", "[[case", "not TOML"),
    ],
)
def test_cases_are_read_strictly(folder: Path, old: str, new: str, said: str) -> None:
    rewrite(folder / "cases" / "02-records.toml", old, new)
    with pytest.raises(BundleError, match=said):
        cases.load(folder)


def test_there_must_be_cases(folder: Path) -> None:
    for path in (folder / "cases").iterdir():
        path.unlink()
    (folder / "cases" / "01.toml").write_text("organisation = []\ncase = []\n")
    with pytest.raises(BundleError, match="there must be cases"):
        cases.trusted(folder)


def test_a_circle_of_organisations_ends() -> None:
    case = cases.load(CEDAR).case[0]
    assert cases.request(case, {case.organisation: "1", "1": case.organisation}).actor.chain == (
        case.organisation,
        "1",
    )
