"""`gateway backup advise`: for its own database nothing to do; of another's server each lack with its lines, in both languages."""

import json
from dataclasses import replace

import pytest

from gateway.cli import backup_advise
from gateway.store import external
from gateway.store.external import Offer, Offers
from tests.backups.hosted import Hosted, hosted_once  # noqa: F401
from tests.cli.small_admin import cli

FIX = "ALTER ROLE gateway_backup REPLICATION;"
NAMES = (
    "version", "primary", "replication", "access", "wal-level", "senders", "slots", "segments",
    "tablespaces", "checksums", "slot-size", "users",
)  # fmt: skip


@pytest.fixture
def said(hosted: Hosted, capsys):
    def run(*words: str, status: int = 0) -> str:
        capsys.readouterr()
        done = cli("backup", "advise", str(hosted.home.root), *words)
        out = capsys.readouterr().out
        assert done == status, out
        return out

    return run


@pytest.fixture
def found(monkeypatch) -> list[Offers]:
    """What the server offers, to be changed by a test."""
    each = tuple(Offer(name, name != "replication", True, (FIX,)) for name in NAMES)
    now = [Offers(15, None, each)]
    monkeypatch.setattr(external, "offers", lambda *_: now[0])
    return now


def test_it_asks_the_server_and_changes_nothing(hosted: Hosted, said) -> None:
    before = hosted.sql("SELECT count(*) FROM gateway.audit_entry")
    told = json.loads(said("--json"))
    assert (told["form"], told["version"], told["timeline"]) == ("base", 18, 1)
    assert [one["offer"] for one in told["offers"]] == list(NAMES)
    assert hosted.sql("SELECT count(*) FROM gateway.audit_entry") == before


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_what_lacks_is_told_with_its_lines(said, found, lang: str) -> None:
    lines = said("--lang", lang).splitlines()
    assert lines[3].strip() == FIX
    assert [line[0] for line in lines[:-1]] == ["+", "+", "-", " ", *"+" * 9]
    assert not any("{" in line or "backup.offer" in line for line in lines)
    found[0] = replace(found[0], version=19)
    assert "19" in said("--lang", lang, status=1)


def test_every_offer_has_its_words_in_both_states(said, found) -> None:
    told = set()
    for good in (True, False):
        each = tuple(Offer(name, good, False) for name in NAMES)
        found[0] = Offers(18, 1, each)
        told |= set(said("--lang", "en").splitlines()[:-1])
    assert len(told) == 2 * len(NAMES)
    assert not any("backup.offer" in line for line in told)


def test_of_our_own_database_there_is_nothing_to_set_up(hosted: Hosted, said, monkeypatch) -> None:
    own = replace(backup_advise.settings.load(hosted.home.settings), dsn="")
    monkeypatch.setattr(backup_advise.settings, "load", lambda _: own)
    assert json.loads(said("--json")) == {"form": "base", "offers": []}


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_a_slot_that_nobody_takes_from_is_told_with_what_drops_it(said, found, lang: str) -> None:
    """Fault: without the right to we cannot drop it, and it fills their disk."""
    drop = "SELECT pg_drop_replication_slot('gateway_wal');"
    assert json.loads(said("--json"))["slot_left"] == []
    found[0] = replace(found[0], slot=True)
    assert json.loads(said("--json"))["slot_left"] == [drop]
    lines = said("--lang", lang).splitlines()
    assert lines[-2].strip() == drop
    assert lines[-3].startswith("! ")
    assert "backup.offer" not in lines[-3]
