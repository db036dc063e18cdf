"""The bundle: texts of a folder and a digest that covers names, lengths and contents."""

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
