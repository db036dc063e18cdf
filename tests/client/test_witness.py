"""The witness of a profile: it cosigns what continues, never two heads that contradict, its state on disk before a line leaves."""

import json
import multiprocessing
import os
from pathlib import Path

import pytest

from gateway.client import witness as ours
from gateway.client.checkpoints import LogError
from gateway.client.witness import STANDS_S, Witness
from gateway.tlog import merkle
from gateway.tlog.cosignature import ED25519, ML_DSA_44, verified
from gateway.tlog.keys import LogKeys
from gateway.tlog.witness import AddCheckpoint
from tests.client.small_gateway import Log
from tests.client.test_checkpoints import log_of, profile

NOW_S = 1_790_000_000


def keys(log: Log) -> LogKeys:
    return LogKeys.of(log.signer.verifier)


def request(log: Log, old: int, new: int) -> AddCheckpoint:
    path = merkle.consistency_path(log.node, old, new) if old <= new else []
    return AddCheckpoint(old, tuple(path), log.checkpoint(new))


def forked(log: Log, at: int, size: int) -> Log:
    """The thief's log: the same key, another entry from `at` on."""
    fork = Log(seed=log.signer._private.private_bytes_raw())
    log_of(at, fork)
    for number in range(at, size):
        fork.append(f"forged {number}".encode())
    return fork


def code(witness: Witness, asked: AddCheckpoint, log: Log, now_s: int = NOW_S) -> str:
    before = witness.state()
    with pytest.raises(LogError) as error:
        witness.answer(asked, keys(log), now_s)
    assert witness.state() == before
    return error.value.code


def test_a_witness_cosigns_what_grows_and_keeps_it_first(tmp_path: Path, monkeypatch) -> None:
    log = log_of(20)
    witness = Witness.create(profile(tmp_path, log))
    assert oct((tmp_path / "witness" / "key").stat().st_mode & 0o777) == "0o600"
    for old, new in ((0, 3), (3, 3), (3, 8), (8, 20)):
        lines = witness.answer(request(log, old, new), keys(log), NOW_S)
        note = log.checkpoint(new) + "".join(lines)
        assert [one.time_s for one in verified(note, witness.keys)] == [NOW_S] * len(lines)
        assert witness.state().note == log.checkpoint(new)
        again = Witness.of(profile(tmp_path, log))
        assert again is not None
        assert again.keys == witness.keys


def test_nothing_leaves_when_the_state_cannot_be_kept(tmp_path: Path, monkeypatch) -> None:
    """The disk is full: no line is signed, and the next good call works."""
    log = log_of(9)
    witness = Witness.create(profile(tmp_path, log))
    signed: list[str] = []

    def full(path: Path, content: bytes) -> None:
        assert not signed
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(ours, "write_private", full)
        with pytest.raises(OSError, match="No space"):
            signed += witness.answer(request(log, 0, 5), keys(log), NOW_S)
    assert signed == []
    assert witness.answer(request(log, 0, 9), keys(log), NOW_S)


@pytest.mark.parametrize(
    ("old", "new", "at", "expected"),
    [
        (9, 9, 5, "LOG_FORKED"),
        (9, 14, 5, "LOG_INCONSISTENT"),
        (9, 6, 5, "SIZE_SHRANK"),
        (9, 6, 9, "SIZE_SHRANK"),
        (6, 14, 14, "SIZE_OTHER"),
        (0, 14, 14, "SIZE_OTHER"),
    ],
)
def test_two_heads_that_contradict_are_never_cosigned(tmp_path, old, new, at, expected) -> None:
    """A fork with the stolen signer key, a log rolled back, a restored one: no line, and the true log goes on."""
    log = log_of(20)
    witness = Witness.create(profile(tmp_path, log))
    witness.answer(request(log, 0, 9), keys(log), NOW_S)
    assert code(witness, request(forked(log, at, 20), old, new), log) == expected
    assert witness.answer(request(log, 9, 20), keys(log), NOW_S)


def test_a_foreign_log_and_a_foreign_key_are_not_cosigned(tmp_path: Path) -> None:
    log = log_of(9)
    witness = Witness.create(profile(tmp_path, log))
    assert code(witness, request(log_of(9, Log()), 0, 9), log) == "LOG_SIGNATURE"
    assert code(witness, request(log_of(9, Log("other/audit")), 0, 9), log) == "LOG_UNKNOWN"


def test_a_log_that_stands_is_not_the_whole_log(tmp_path: Path) -> None:
    """Withheld checkpoints: the same one again and again is an alarm, and the next that grew is cosigned."""
    log = log_of(20)
    witness = Witness.create(profile(tmp_path, log))
    witness.answer(request(log, 0, 9), keys(log), NOW_S)
    assert witness.answer(request(log, 9, 9), keys(log), NOW_S + STANDS_S)
    assert code(witness, request(log, 9, 9), log, NOW_S + STANDS_S + 1) == "LOG_STANDS"
    assert witness.answer(request(log, 9, 10), keys(log), NOW_S + STANDS_S + 1)


def test_the_large_signature_comes_once_an_hour(tmp_path: Path) -> None:
    log = log_of(20)
    witness = Witness.create(profile(tmp_path, log))
    counts = [
        len(witness.answer(request(log, size, size + 1), keys(log), NOW_S + 600 * size))
        for size in range(13)
    ]
    assert counts == [2, 1, 1, 1, 1, 1, 2, 1, 1, 1, 1, 1, 2]
    assert [one.kind for one in witness.keys] == [ED25519, ML_DSA_44]


@pytest.mark.parametrize("content", [None, b"", b"{", b"[]", b'{"note": 1}', b'{"x": 1}'])
def test_a_state_that_is_gone_is_not_begun_anew(tmp_path: Path, content: bytes | None) -> None:
    log = log_of(9)
    witness = Witness.create(profile(tmp_path, log))
    witness.answer(request(log, 0, 5), keys(log), NOW_S)
    state = tmp_path / "witness" / "state"
    state.unlink() if content is None else state.write_bytes(content)
    with pytest.raises(LogError) as error:
        witness.answer(request(log, 0, 9), keys(log), NOW_S)
    assert error.value.code == "WITNESS_STATE"
    with pytest.raises(LogError) as error:
        Witness.create(profile(tmp_path, log))
    assert error.value.code == "WITNESS_EXISTS"


def test_a_forged_state_counts_for_nothing(tmp_path: Path) -> None:
    log = log_of(9)
    witness = Witness.create(profile(tmp_path, log))
    witness.answer(request(log, 0, 5), keys(log), NOW_S)
    state = tmp_path / "witness" / "state"
    document = json.loads(state.read_bytes())
    document["note"] = document["note"].replace("\n5\n", "\n3\n")
    state.write_text(json.dumps(document))
    assert code(witness, request(log, 3, 9), log) == "WITNESS_STATE"


def test_no_key_no_witness_and_damaged_keys_are_told(tmp_path: Path) -> None:
    log = log_of(2)
    place = profile(tmp_path, log)
    assert Witness.of(place) is None
    Witness.create(place)
    (tmp_path / "witness" / "key").write_text(log.signer.secret_line())
    with pytest.raises(LogError) as error:
        Witness.of(place)
    assert error.value.code == "WITNESS_STATE"
    assert "PRIVATE+KEY" not in str(error.value)


def _race(folder: Path, seed: bytes, at: int, gate: int, told: int) -> None:
    log = log_of(20, Log(seed=seed))
    shown = log if at == 20 else forked(log, at, 20)
    witness = Witness.of(profile(folder, log))
    assert witness is not None
    os.read(gate, 1)
    answer = b"0"
    try:
        if witness.answer(request(shown, 9, 15), keys(log), NOW_S):
            answer = b"1"
    except LogError:
        pass
    os.write(told, answer)


def test_two_processes_that_are_shown_two_logs_cosign_one(tmp_path: Path) -> None:
    """The race of the specification: both know 9; each is shown another 15; exactly one line leaves for that size."""
    log = log_of(20)
    seed = log.signer._private.private_bytes_raw()
    Witness.create(profile(tmp_path, log)).answer(request(log, 0, 9), keys(log), NOW_S)
    gate, told = os.pipe(), os.pipe()
    spawn = multiprocessing.get_context("fork")
    racing = [
        spawn.Process(target=_race, args=(tmp_path, seed, at, gate[0], told[1])) for at in (20, 11)
    ]
    try:
        for one in racing:
            one.start()
        os.write(gate[1], b"go")
        for one in racing:
            one.join(60)
        assert sorted(os.read(told[0], 2).decode()) == ["0", "1"]
    finally:
        for one in racing:
            one.kill()
            one.join()
            one.close()
        for end in (*gate, *told):
            os.close(end)
