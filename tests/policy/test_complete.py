"""What an older bundle lacks is named, with what to do; what only ever was of the province is its own."""

import pytest

from gateway.config.home import Home
from gateway.policy import bundle, complete
from gateway.policy.bundle import BundleError
from tests.policies import SHIPPED, TIGHTER, changed


def before_exports() -> dict[str, str]:
    """The files as they were before there were exports."""
    files = {name: text for name, text in SHIPPED.items() if "exports" not in name}
    schema = files["schema.cedarschema"]
    return {**files, "schema.cedarschema": schema[: schema.index("action DraftExport")]}


def test_what_ships_and_what_adds_to_it_lack_nothing(tmp_path) -> None:
    complete.require(tmp_path, SHIPPED)
    complete.require(tmp_path, changed(TIGHTER))
    assert complete.told(Home(tmp_path), bundle.of_files(SHIPPED)) == []


def test_a_folder_of_before_exports_names_them_and_the_command(tmp_path) -> None:
    with pytest.raises(BundleError) as raised:
        complete.require(tmp_path / "cedar", before_exports())
    said = str(raised.value)
    for part in ("action DraftExport", "exports.toml", "policy F20-four-eyes", "P25-download"):
        assert part in said
    assert str(complete._folder()) in said
    # What is signed later may go without a policy of ours, but not without the words of its rpcs.
    [told] = complete.told(Home(tmp_path), bundle.of_files(before_exports()))
    assert "action ReleaseExport" in told
    assert "F20-four-eyes" not in told
    assert f"gateway policy propose {tmp_path} COPY" in told


def test_a_floor_that_was_left_out_is_named(tmp_path) -> None:
    files = {name: text for name, text in SHIPPED.items() if name != "05-exports-floor.cedar"}
    with pytest.raises(BundleError, match="policy F20-four-eyes"):
        complete.require(tmp_path, files)
    assert complete.unknown(bundle.of_files(files)) == ()


def test_rules_of_exports_that_lie_beside_are_told_of(tmp_path) -> None:
    home = Home(tmp_path)
    home.policies.mkdir()
    (home.policies / "exports.toml").write_text("x")
    [told] = complete.told(home, bundle.of_files(SHIPPED))
    assert "counts no more" in told


def test_what_has_no_rules_of_exports_is_not_to_be_activated() -> None:
    complete.require_rules(bundle.of_files(SHIPPED))
    for text, why in ((None, "lacking"), ("needed = 1", "exports")):
        files = {name: one for name, one in SHIPPED.items() if name != "exports.toml"}
        wrong = files if text is None else {**files, "exports.toml": text}
        with pytest.raises(BundleError, match=why):
            complete.require_rules(bundle.of_files(wrong))
