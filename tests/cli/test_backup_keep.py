"""`gateway backup keep`: what is due, by the policy of HOME, with its real processes."""

import json
from pathlib import Path

from gateway.cli.output import Output
from gateway.config.home import Home
from tests.cli.small_admin import cli
from tests.cli.test_backup import leaves, recipient, served, told  # noqa: F401  fixtures
from tests.supervise.test_backups import policy


def test_it_is_made_in_all_places_and_once(
    told,  # noqa: F811
    served: Home,  # noqa: F811
    recipient: Path,  # noqa: F811
    tmp_path: Path,
    capsys,
) -> None:
    places = [tmp_path / "a", tmp_path / "b"]
    file = served.policies / "backups.toml"
    before = file.read_text()
    try:
        assert told("keep", served.root, status=1)["refused"] == "BACKUP_NO_PLACE"
        policy(served, *places)
        assert told("keep", served.root, status=1)["refused"] == "BACKUP_PLACE_AWAY"
        for one in places:
            one.mkdir()
        created = len(leaves(served, "backup.create"))
        made = told("keep", served.root)
        assert (made["new"], made["copies"], made["missing"]) == (True, 2, 0)
        assert told("keep", served.root)["new"] is False
        assert len(leaves(served, "backup.create")) == created + 1
        for one in places:
            [listed] = told("list", one, "--home", served.root)["backups"]
            assert Path(listed["folder"]).name == Path(made["folder"]).name
        assert leaves(served, "backup.keep")[-1]["detail"]["manifest_sha256"] == made["sha256"]
        assert cli("status", str(served.root), "--json") == 0
        state = json.loads(capsys.readouterr().out)["database"]["backups"]
        state.pop("drill")
        good = {"state": "good", "verified": True, "age_hours": 0, "places": 2}
        assert state == {**good, "form": "", "lost": 0}
        assert cli("backup", "keep", str(served.root), "--lang", "zh") == 0
        assert Output("zh").text("backup.making") not in capsys.readouterr().out
    finally:
        file.write_text(before)
