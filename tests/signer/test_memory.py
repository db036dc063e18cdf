"""The signer signs only what continues what it signed: growth, forks, rollbacks, lost and forged state."""

import json
import os

import pytest

from gateway.config.home import Home
from gateway.signer.memory import (
    SLOT_BYTES,
    SLOTS,
    STATE_FILE,
    Memory,
    StateError,
    stored_checkpoint,
)
from gateway.tlog import note
from gateway.tlog.checkpoint import Checkpoint, open_checkpoint
from gateway.tlog.merkle import root_of
from tests.audit.stage import ORIGIN
from tests.signer.claims import OTHERS, ask, line


def test_a_new_signer_has_signed_the_empty_log(home: Home) -> None:
    assert home.signing_keys.stat().st_mode & 0o777 == 0o600
    assert (home.secrets("signer") / STATE_FILE).stat().st_mode & 0o777 == 0o600
    verifier = note.parse_vkey(home.log_key.read_text().strip())
    stored = stored_checkpoint(home)
    assert stored is not None
    assert open_checkpoint(stored, [verifier], ORIGIN).size == 0
    assert Memory.load(home).growth.frontier.size == 0


def test_growth_is_signed_and_survives_a_restart(home: Home) -> None:
    assert ask(Memory.load(home), line(0, 5)) == [5]
    assert ask(Memory.load(home), line(5, 5)) == [5]
    assert ask(Memory.load(home), line(3, 300), line(0, 2000)) == [2000, 2000]
    assert Memory.load(home).growth.frontier.size == 2000
    stored = stored_checkpoint(home)
    assert stored is not None
    assert "\n2000\n" in stored


def test_a_smaller_head_gets_the_newest_checkpoint(home: Home) -> None:
    memory = Memory.load(home)
    assert ask(memory, line(0, 5), line(5, 9), line(0, 5)) == [9, 9, 9]


def test_a_smaller_head_that_is_not_remembered_must_ask_from_where_the_signer_stands(
    home: Home,
) -> None:
    memory = Memory.load(home)
    ask(memory, line(0, 10))
    assert ask(memory, line(0, 7)) == [{"have": 10}]
    assert ask(memory, line(12, 14)) == [{"have": 10}]
    assert ask(Memory.load(home), line(0, 5)) == [{"have": 10}]


@pytest.mark.parametrize(("begin", "size"), [(0, 10), (10, 12), (0, 12), (5, 11)])
def test_another_history_is_refused_and_changes_nothing(home: Home, begin: int, size: int) -> None:
    memory = Memory.load(home)
    ask(memory, line(0, 10))
    assert ask(memory, line(begin, size, OTHERS)) == [{"refused": "inconsistent"}]
    assert ask(memory, line(10, 11)) == [11]


def test_a_root_that_its_hashes_do_not_have(home: Home) -> None:
    document = json.loads(line(0, 10)) | {"root": root_of(OTHERS[:10]).hex()}
    memory = Memory.load(home)
    assert ask(memory, json.dumps(document).encode()) == [{"refused": "inconsistent"}]
    assert memory.growth.frontier.size == 0


def test_good_and_bad_requests_that_wait_together(home: Home) -> None:
    memory = Memory.load(home)
    answers = ask(memory, line(0, 4), line(4, 6, OTHERS), line(4, 8), line(9, 12), line(0, 4))
    assert answers == [8, {"refused": "inconsistent"}, 8, {"have": 8}, 8]


def test_nothing_is_signed_when_the_state_cannot_be_stored(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory = Memory.load(home)
    ask(memory, line(0, 3))

    def full(_: int) -> None:
        raise OSError(28, "no space left on device")

    monkeypatch.setattr(os, "fdatasync", full)
    with pytest.raises(OSError, match="no space"):
        ask(memory, line(3, 6))
    assert memory.growth.frontier.size == 3
    monkeypatch.undo()
    assert Memory.load(home).growth.size in (3, 6)
    assert ask(memory, line(0, 3), line(3, 6)) == [6, 6]


def test_the_state_is_on_disk_before_the_answer(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory = Memory.load(home)
    order: list[str] = []
    real = os.fdatasync
    monkeypatch.setattr(os, "fdatasync", lambda fd: (order.append("sync"), real(fd)))
    ask(memory, line(0, 3))
    order.append("answer")
    assert order == ["sync", "answer"]


def slots(home: Home) -> list[bytes]:
    content = (home.secrets("signer") / STATE_FILE).read_bytes()
    assert len(content) == SLOTS * SLOT_BYTES
    return [content[:SLOT_BYTES], content[SLOT_BYTES:]]


def put(home: Home, *states: bytes) -> None:
    content = b"".join(state.ljust(SLOT_BYTES) for state in states)
    (home.secrets("signer") / STATE_FILE).write_bytes(content)


def test_states_are_written_in_turn_and_the_newer_counts(home: Home) -> None:
    memory = Memory.load(home)
    for size in (5, 9, 20):
        ask(memory, line(0, size))
    assert sorted(json.loads(each)["checkpoint"].split("\n")[1] for each in slots(home)) == [
        "20",
        "9",
    ]
    assert Memory.load(home).growth.size == 20
    put(home, *reversed(slots(home)))
    again = Memory.load(home)
    assert again.growth.size == 20
    ask(again, line(20, 30))
    assert Memory.load(home).growth.size == 30


@pytest.mark.parametrize("torn", [b"", b"\0" * 100, b"{", b"[]", b"{}", b"\xff"])
def test_a_torn_write_spoils_only_what_never_left(home: Home, torn: bytes) -> None:
    memory = Memory.load(home)
    ask(memory, line(0, 5), line(0, 9))
    ask(memory, line(9, 20))
    one, two = slots(home)
    newer = 0 if b"\\n20\\n" in one else 1
    put(home, *([torn, two] if newer == 0 else [one, torn]))
    assert Memory.load(home).growth.size == 9


@pytest.mark.parametrize("damage", ["missing", "empty", "frontier", "forged", "other key", "hex"])
def test_a_state_that_is_lost_or_not_ours_is_an_incident(home: Home, damage: str) -> None:
    memory = Memory.load(home)
    ask(memory, line(0, 5))
    ask(memory, line(0, 6))
    document = max(map(json.loads, slots(home)), key=lambda each: each["checkpoint"])
    forged = Checkpoint(ORIGIN, 5, root_of(OTHERS[:5]))
    stranger = note.Signer(ORIGIN, bytes(32))
    changes = {
        "frontier": {"frontier": document["frontier"][::-1]},
        "hex": {"frontier": ["zz", "zz"]},
        "forged": {"checkpoint": forged.text() + document["checkpoint"][-90:]},
        "other key": {"checkpoint": forged.signed(stranger)},
    }
    match damage:
        case "missing":
            (home.secrets("signer") / STATE_FILE).unlink()
        case "empty":
            put(home)
        case _:
            put(home, *[json.dumps(document | changes[damage]).encode()] * 2)
    with pytest.raises(StateError):
        Memory.load(home)


def test_a_write_in_part_is_no_write(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    memory = Memory.load(home)
    monkeypatch.setattr(os, "pwrite", lambda *_: 100)
    with pytest.raises(OSError, match="in part"):
        ask(memory, line(0, 5))
    assert memory.growth.size == 0


def test_a_state_that_is_removed_while_it_runs_is_not_made_again(home: Home) -> None:
    memory = Memory.load(home)
    (home.secrets("signer") / STATE_FILE).unlink()
    with pytest.raises(FileNotFoundError):
        ask(memory, line(0, 5))
    assert not (home.secrets("signer") / STATE_FILE).exists()


def test_a_tool_finds_no_checkpoint_where_there_is_none(home: Home) -> None:
    path = home.secrets("signer") / STATE_FILE
    for content in (b"[]", b"{}", b'{"checkpoint":1}', b"\xff"):
        path.write_bytes(content)
        assert stored_checkpoint(home) is None
    path.unlink()
    assert stored_checkpoint(home) is None
