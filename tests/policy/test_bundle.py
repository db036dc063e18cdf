"""The bundle: texts of a folder and a digest that covers names, lengths and contents."""

import hashlib
from pathlib import Path

import pytest

from gateway.config.policies import shipped
from gateway.policy import bundle
from gateway.policy.bundle import BundleError

CEDAR = shipped("policies") / "cedar"


def test_what_ships_is_read_in_order_of_names() -> None:
    found = bundle.load(CEDAR)
    assert [name for name, _ in found.policies] == sorted(
        path.name for path in CEDAR.glob("*.cedar")
    )
    assert len(found.sha256) == 64
    assert found.sha256 == bundle.load(CEDAR).sha256
    assert found.text.index('@id("F01') < found.text.index('@id("P13')


def test_any_change_changes_the_digest() -> None:
    first = bundle.of("s", (("a", "xy"), ("b", "z")))
    others = [
        bundle.of("s ", (("a", "xy"), ("b", "z"))),
        bundle.of("s", (("a", "x"), ("b", "yz"))),
        bundle.of("s", (("b", "xy"), ("a", "z"))),
        bundle.of("s", (("a", "xyz"),)),
        bundle.of("sa", (("", "xy"), ("b", "z"))),
    ]
    assert len({first.sha256, *(other.sha256 for other in others)}) == 6
    assert bundle.of("s", (("a", "xy"), ("b", "z"))) == first


def test_a_folder_that_cannot_be_read_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"no \*\.cedar"):
        bundle.load(tmp_path)
    (tmp_path / "a.cedar").write_bytes(b"\xff")
    with pytest.raises(BundleError, match=r"schema\.cedarschema: cannot be read"):
        bundle.load(tmp_path)
    (tmp_path / "schema.cedarschema").write_text("")
    with pytest.raises(BundleError, match=r"a\.cedar: cannot be read"):
        bundle.load(tmp_path)


def test_a_bundle_is_found_among_files_or_is_none(tmp_path: Path) -> None:
    files = bundle.files(CEDAR)
    assert bundle.of_files(files) == bundle.load(CEDAR)
    assert {"survivors.toml", "cases/00-province.toml"} <= files.keys()
    for lacking in (
        {"a.cedar": ""},
        {"schema.cedarschema": ""},
        {"schema.cedarschema": "", "x/a.cedar": ""},
    ):
        with pytest.raises(BundleError, match="are needed"):
            bundle.of_files(lacking)


def test_the_rules_of_exports_are_under_the_digest() -> None:
    files = bundle.files(CEDAR)
    whole = bundle.of_files(files)
    rules = whole.rules()
    assert rules is not None
    assert rules.approvals.needed == 2
    more = {**files, "exports.toml": files["exports.toml"].replace("50000", "50001")}
    assert bundle.of_files(more).sha256 != whole.sha256
    assert set(whole.texts) == {
        name
        for name in files
        if name.endswith((".cedar", ".cedarschema")) or name == "exports.toml"
    }
    assert bundle.of_files(whole.texts) == whole


def test_a_bundle_of_before_has_no_rules_and_its_old_digest() -> None:
    """Signatures under it stay good."""
    files = {name: text for name, text in bundle.files(CEDAR).items() if name != "exports.toml"}
    old = bundle.of_files(files)
    assert old.rules() is None
    digest = hashlib.sha256(b"gateway/policy/v1\n")
    for name, text in (("schema.cedarschema", old.schema), *old.policies):
        digest.update(f"{name}\n{len(text.encode())}\n".encode() + text.encode())
    assert old.sha256 == digest.hexdigest()


def test_rules_that_are_none_are_no_bundle_to_judge_by() -> None:
    files = bundle.files(CEDAR)
    wrong = bundle.of_files({**files, "exports.toml": "needed = 1"})
    with pytest.raises(BundleError, match=r"exports.toml"):
        wrong.rules()
