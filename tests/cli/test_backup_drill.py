"""`gateway backup drill` beside a gateway that serves: good or not it is one leaf, killed it is none, and nothing of it stays."""

import contextlib
import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.config import settings
from gateway.config.home import Home
from gateway.supervise.drills import Drills
from tests.cli.small_admin import cli
from tests.cli.test_backup import leaves, recipient, served, told  # noqa: F401  fixtures
from tests.house.tree import ROOT
from tests.supervise.test_backups import Told, policy
from tests.supervise.test_supervisor import until

LATE_S = 93 * 86_400


def as_the_page_has_it(**at: object) -> list[str]:
    """The words of the page's own line, with what stands in capitals, and the key's file, filled in."""
    page = (ROOT / "docs/backups.md").read_text(encoding="utf-8")
    [line] = [one for one in page.splitlines() if one.startswith("    gateway backup drill")]
    command, _, _ = line.partition("#")
    places = {**at, "safe-1.key": at["key"]}
    return [str(places.get(word, word)) for word in command.split()[2:]]


def scratch(home: Home) -> Path:
    return home.root.with_name(f"{home.root.name}.drill")


def test_good_or_not_it_is_one_leaf_and_the_next_is_good(
    told,  # noqa: F811
    served: Home,  # noqa: F811
    recipient: Path,  # noqa: F811
    tmp_path: Path,
    capsys,
) -> None:
    made = told("create", served.root, "--to", tmp_path / "place")
    spoilt = Path(shutil.copytree(made["folder"], tmp_path / "spoilt"))
    (spoilt / "home.tar.age").unlink()
    told("recipient", "new", tmp_path / "other")
    of = ("--home", served.root, "--identity")
    before = len(leaves(served, "backup.drill"))
    for words, reason in (
        ((spoilt, *of, recipient), "BACKUP_PART_MISSING"),
        ((made["folder"], *of, tmp_path / "other"), "BACKUP_KEY_WRONG"),
        ((made["folder"], *of, recipient, "--until", "yesterday"), None),
    ):
        refused = told("drill", *words, status=1)["refused"]
        assert reason in {refused, None}
        *_, last = leaves(served, "backup.drill")
        assert last["decision"] == "error"
        cause = refused.lower().replace("_", "-")
        assert last["detail"] == {"alert": "backup-drill-failed", "cause": cause}
        assert not scratch(served).exists()
    done = told(*as_the_page_has_it(BACKUP=made["folder"], HOME=served.root, key=recipient))
    assert (done["sha256"], done["rows"]) == (made["sha256"], made["rows"])
    everything = leaves(served, "backup.drill")
    assert len(everything) == before + 4
    last = everything[-1]
    assert last["decision"] == "allow"
    assert last["detail"] == {
        "manifest_sha256": made["sha256"],
        "rto_s": done["rto_seconds"],
        "rpo_s": done["rpo_seconds"],
    }
    assert last["counts"]["rows"] == made["rows"]
    assert recipient.read_text().strip() not in json.dumps(everything)
    assert not scratch(served).exists()
    assert cli("status", str(served.root), "--json") == 0
    drill = json.loads(capsys.readouterr().out)["database"]["backups"]["drill"]
    assert drill == {
        "good": True,
        "late": False,
        "age_days": 0,
        "rto_seconds": done["rto_seconds"],
        "rpo_seconds": done["rpo_seconds"],
    }
    assert cli("metrics", str(served.root)) == 0
    assert "gateway_backup_drill_late 0.0" in capsys.readouterr().out


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_whatever_ends_it_is_one_leaf(
    told,  # noqa: F811
    served: Home,  # noqa: F811
    recipient: Path,  # noqa: F811
    tmp_path: Path,
    monkeypatch,
    error,
) -> None:
    """A failure that nobody foresaw, and ^C: it was no good drill, and the log says so."""

    def failing(*_: object) -> None:
        raise error

    made = told("create", served.root, "--to", tmp_path / "place")
    words = ("drill", made["folder"], "--home", served.root, "--identity", recipient)
    before = len(leaves(served, "backup.drill"))
    with monkeypatch.context() as patched:
        patched.setattr("gateway.backups.drilling.drill", failing)
        with contextlib.suppress(ValueError):
            assert cli("backup", *map(str, words)) != 0
    [failed] = leaves(served, "backup.drill")[before:]
    cause = {"alert": "backup-drill-failed", "cause": "backup-drill-failed"}
    assert (failed["decision"], failed["detail"]) == ("error", cause)
    assert told(*words)["sha256"] == made["sha256"]


def test_killed_in_the_middle_it_leaves_no_leaf_and_the_next_clears_up(
    told,  # noqa: F811
    served: Home,  # noqa: F811
    recipient: Path,  # noqa: F811
    tmp_path: Path,
) -> None:
    """kill -9 when files are being put there, and when its server runs."""
    made = told("create", served.root, "--to", tmp_path / "place")
    words = ["drill", made["folder"], "--home", str(served.root), "--identity", str(recipient)]
    before = len(leaves(served, "backup.drill"))
    for reached in ("database/data/PG_VERSION", "database/data/postmaster.pid"):
        running = subprocess.Popen(
            [sys.executable, "-m", "gateway", "backup", *words],
            cwd=ROOT,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            until(lambda at=reached: (scratch(served) / at).exists())
        finally:
            running.kill()
            assert running.wait() == -signal.SIGKILL
        assert scratch(served).exists()
        assert len(leaves(served, "backup.drill")) == before
    assert told(*words)["sha256"] == made["sha256"]
    assert not scratch(served).exists()
    assert len(leaves(served, "backup.drill")) == before + 1


@pytest.mark.timeout(300)
def test_what_the_supervisor_would_run_goes_to_the_end_of_the_journal(
    told,  # noqa: F811
    served: Home,  # noqa: F811
    recipient: Path,  # noqa: F811
    tmp_path: Path,
) -> None:
    import asyncio

    from gateway.clock import SYSTEM, TurnedClock

    places = [tmp_path / "a", tmp_path / "b"]
    for one in places:
        one.mkdir()
    file = served.policies / "backups.toml"
    before = file.read_text()
    clock = TurnedClock(SYSTEM.now_us() + LATE_S * 10**6)
    try:
        policy(served, *places)
        text = file.read_text().replace('drill_identity = ""', f'drill_identity = "{recipient}"')
        file.write_text(text)
        told("wal", served.root, "--once")
        made = told("keep", served.root)
        told("wal", served.root, "--once")
        watch = Drills(served, settings.load(served.settings), Told(), clock)
        words = asyncio.run(watch.look())
        assert words[-2:] == ("--until", "end")
        done = told(*words)
        assert done["sha256"] == made["sha256"]
        assert done["entries"] > made_size(told, made["folder"], served)
    finally:
        file.write_text(before)


def made_size(told, folder: str, served: Home) -> int:  # noqa: F811
    """How long the log is that the backup's checkpoint names."""
    return told("check", folder, "--key", served.log_key)["log_size"]
