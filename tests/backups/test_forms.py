"""Of another's server its files where it gives them, else a dump; and nothing where policy or versions forbid that."""

from dataclasses import replace

import pytest

from gateway.backups import forms, manifest
from gateway.backups.errors import BackupError
from gateway.config import settings
from gateway.config.backups import load_backup_rules
from gateway.config.policies import shipped
from gateway.store import roles
from gateway.store.external import Offer, Offers
from gateway.store.tools import MAJOR
from tests.backups.stand import Stand

ALL = (Offer("access", True, True), Offer("checksums", False, False))
LESS = (Offer("access", False, True), Offer("replication", False, True))


@pytest.mark.parametrize(
    ("version", "each", "wanted", "form"),
    [
        (15, ALL, "offered", manifest.BASE),
        (15, LESS, "offered", manifest.DUMP),
        (15, ALL, "base", manifest.BASE),
        (15, ALL, "dump", manifest.DUMP),
        (15, LESS, "dump", manifest.DUMP),
    ],
)
def test_what_policy_wants_of_what_is_offered(version, each, wanted, form) -> None:
    assert forms.of(Offers(version, 1, each), wanted) == form


@pytest.mark.parametrize(
    ("version", "wanted", "lacking"),
    [
        (15, "base", "access, replication"),
        (MAJOR + 1, "offered", "newer"),
        (MAJOR + 1, "dump", "newer"),
    ],
)
def test_what_is_not_offered_is_refused_with_what_lacks(version, wanted, lacking) -> None:
    with pytest.raises(BackupError, match=lacking) as caught:
        forms.of(Offers(version, None, LESS), wanted)
    assert caught.value.code == "BACKUP_EXTERNAL"


def test_our_own_server_is_not_asked(stand: Stand) -> None:
    own = settings.load(stand.home.settings)
    assert not own.dsn
    assert forms.chosen(stand.home, own) == manifest.BASE


def test_a_server_that_gives_all_is_copied_and_policy_is_read_anew(stand: Stand) -> None:
    own = settings.load(stand.home.settings)
    other = replace(own, dsn=roles.server(stand.home, own))
    path = stand.home.policies / "backups.toml"
    before = path.read_text()
    assert forms.chosen(stand.home, other) == manifest.BASE
    try:
        path.write_text(before.replace('form = "offered"', 'form = "dump"'))
        assert forms.chosen(stand.home, other) == manifest.DUMP
    finally:
        path.write_text(before)


def test_a_slot_stays_only_where_it_is_sent_from_and_bounded() -> None:
    rules = load_backup_rules(shipped("policies") / "backups.toml")
    assert not forms.sends(rules)  # without places
    rules = replace(rules, places=replace(rules.places, folders=("/a", "/b")))
    assert forms.sends(rules)
    assert not forms.sends(replace(rules, wal=replace(rules.wal, tail_s=0)))
    assert not forms.sends(replace(rules, external=replace(rules.external, form="dump")))
    offers = Offers(15, 1, LESS)
    assert not forms.idle(rules, offers)
    assert forms.idle(rules, Offers(15, 1, (Offer("slot-size", False, True),)))
    assert forms.idle(replace(rules, wal=replace(rules.wal, tail_s=0)), offers)
