"""`gateway backup list`: without places the policy's; for people in a table, for machines in JSON; read to the last byte where asked."""

import shutil
from pathlib import Path

from gateway.cli.output import Output
from gateway.config.home import Home
from tests.cli.small_admin import cli
from tests.cli.test_backup import recipient, served, told  # noqa: F401  fixtures
from tests.supervise.test_backups import policy


def test_the_places_of_the_policy_are_shown_and_a_flipped_bit_is_found(
    told,  # noqa: F811
    served: Home,  # noqa: F811
    recipient: Path,  # noqa: F811
    tmp_path: Path,
    capsys,
) -> None:
    home = ("--home", served.root)
    assert told("list", *home, status=2)["refused"] == "BACKUP_NO_PLACE"
    places = [tmp_path / "a", tmp_path / "b"]
    for one in places:
        one.mkdir()
    file = served.policies / "backups.toml"
    before = file.read_text()
    policy(served, *places)
    try:
        made = Path(told("create", served.root, "--to", places[0])["folder"])
        copy = Path(shutil.copytree(made, places[1] / made.name))
        [one] = told("list", *home)["backups"]
        assert (one["state"], one["places"], one["form"], one["age_hours"]) == (
            "signed", 2, "base", 0,
        )  # fmt: skip
        assert [each["folder"] for each in one["copies"]] == [str(made), str(copy)]
        assert "refused" not in one
        assert one["journal_until"] is None
        [read] = told("list", *home, "--check")["backups"]
        assert read["state"] == "verified"
        part = copy / "home.tar.age"
        content = bytearray(part.read_bytes())
        content[len(content) // 2] ^= 1
        part.write_bytes(content)
        [spoilt] = told("list", *home, "--check")["backups"]
        assert (spoilt["refused"], spoilt["places"]) == ("BACKUP_PART_CHANGED", 1)
        assert [each["state"] for each in spoilt["copies"]] == ["verified", "BACKUP_PART_CHANGED"]
        for lang in ("en", "zh"):
            capsys.readouterr()
            assert cli("backup", "list", *map(str, home), "--check", "--lang", lang) == 0
            said = capsys.readouterr().out
            assert "1/2" in said
            assert "BACKUP_PART_CHANGED" in said
            assert Output(lang).text("backup.form.base") in said
            assert "backup." not in said
    finally:
        file.write_text(before)
