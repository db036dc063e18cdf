"""While the proof of a contradiction lies in a profile nothing goes on; the first proof stays."""

import pytest

from gateway.client import alarm
from gateway.client.checkpoints import Checkpoints, LogError
from gateway.tlog import contradiction
from gateway.tlog.note import parse_vkey
from tests.client.small_gateway import Log
from tests.client.test_checkpoints import log_of, profile, settle


def fork_of(log, at, size):
    fork = Log(seed=log.signer._private.private_bytes_raw())
    log_of(at, fork)
    for number in range(at, size):
        fork.append(f"forged {number}".encode())
    return fork


def test_a_fork_is_kept_as_a_proof_and_nothing_goes_on(tmp_path):
    log = log_of(9)
    place = profile(tmp_path, log)
    checkpoints = Checkpoints(place)
    checkpoints.see(log.checkpoint())
    with pytest.raises(LogError, match=alarm.FILE):
        checkpoints.see(fork_of(log, 5, 9).checkpoint())
    proof = alarm.standing(place)
    found = contradiction.parse(proof.read_text())
    assert found.judge(parse_vkey(place.remote.log_key))[0] == "fork"
    with pytest.raises(LogError) as raised:
        Checkpoints(place)
    assert raised.value.code == "LOG_CONTRADICTED"
    proof.unlink()
    assert Checkpoints(place).kept is None


def test_a_past_that_was_rewritten_is_proven_by_the_logs_own_answer(tmp_path):
    log = log_of(9)
    place = profile(tmp_path, log)
    checkpoints = Checkpoints(place)
    checkpoints.see(log.checkpoint())
    settle(checkpoints, log)
    fork = fork_of(log, 5, 14)
    checkpoints.see(fork.checkpoint())
    with pytest.raises(LogError) as raised:
        settle(checkpoints, fork)
    assert raised.value.code == "LOG_INCONSISTENT"
    found = contradiction.parse(alarm.standing(place).read_text())
    assert found.judge()[0] == "rewritten"


def test_the_first_proof_stays(tmp_path):
    log = log_of(9)
    place = profile(tmp_path, log)
    path = alarm.raise_over(place, log.checkpoint(3), fork_of(log, 1, 3).checkpoint())
    first = path.read_text()
    assert alarm.raise_over(place, "other", "notes") == path
    assert path.read_text() == first
