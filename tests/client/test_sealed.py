"""What came of a payload is kept to go on with, by one process at a time, under the ticket's number and no other name."""

import hashlib
import stat

import pytest

from gateway.client import sealed
from gateway.client.journal import BusyError
from gateway.client.sealed import ExportError, Note, Sealed
from tests.client.small_gateway import SmallGateway

TICKET = "EX-00000001"


@pytest.fixture
def profile(tmp_path):
    return SmallGateway().profile(tmp_path / "profile")


def test_what_came_is_there_the_next_time(profile):
    with Sealed(profile, TICKET) as first:
        first.append(b"one")
        assert first.length == 3
    with Sealed(profile, TICKET) as second:
        second.append(b"two")
        assert second.settle() == hashlib.sha256(b"onetwo").hexdigest()
        assert stat.S_IMODE(second.path.stat().st_mode) == 0o600
        second.clear()
        assert second.length == 0
        second.remove()
    assert not second.path.exists()


def test_one_process_at_a_time(profile):
    with Sealed(profile, TICKET), pytest.raises(BusyError), Sealed(profile, TICKET):
        pass
    with Sealed(profile, TICKET):
        pass


def test_a_link_is_not_followed(profile, tmp_path):
    target = tmp_path / "other"
    sealed.place(profile, TICKET, "payload").symlink_to(target)
    with pytest.raises(OSError, match="symbolic"), Sealed(profile, TICKET):
        pass
    assert not target.exists()


@pytest.mark.parametrize("text", ["", "../EX-00000001", "EX-00000001/..", "EX-0000000１", "EX-1"])
def test_attack_46_only_a_ticket_names_a_file(profile, text):
    with pytest.raises(ExportError) as error:
        sealed.place(profile, text, "payload")
    assert error.value.code == "TICKET_NUMBER"


def test_a_note_is_kept_and_a_broken_one_is_none(profile):
    assert sealed.note(profile, TICKET) == Note()
    known = Note({"a": "ff"}, "ab" * 32, "/there")
    sealed.remember(profile, TICKET, known)
    assert sealed.note(profile, TICKET) == known
    for broken in ("{", '{"more": 1}'):
        sealed.place(profile, TICKET, "json").write_text(broken)
        assert sealed.note(profile, TICKET) == Note()
