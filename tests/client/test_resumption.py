"""An officer signs only for a log that continues the checkpoint of the own profile."""

import pytest

from gateway.client import resumption
from gateway.client.checkpoints import Checkpoints, LogError
from gateway.tlog import merkle
from gateway.tlog.resumption import Request
from tests.client.test_checkpoints import log_of, profile, settle


def request(log, size, *proven):
    proofs = {old: merkle.consistency_path(log.node, old, size) for old in proven}
    root = merkle.range_root(log.node, 0, size)
    return Request(log.signer.verifier.name, size, root, 1, proofs).encode()


@pytest.fixture
def log():
    return log_of(12)


def kept(folder, log, size):
    found = profile(folder, log)
    checkpoints = Checkpoints(found)
    checkpoints.see(log.checkpoint(size))
    settle(checkpoints, log)
    return found


def test_the_log_that_was_known_is_read(tmp_path, log):
    assert resumption.read(kept(tmp_path, log, 7), request(log, 12, 7)).size == 12


def test_what_is_not_proven_to_continue_it_is_not(tmp_path, log):
    mine = kept(tmp_path, log, 7)
    forked = log_of(3)
    forked.append(b"another")
    for entry in range(8):
        forked.append(f"entry {entry}".encode())
    told = {
        "LOG_SHORTENED": request(log, 5),
        "PROOF_MISSING": request(log, 12, 3),
        "LOG_INCONSISTENT": request(forked, 12, 7),
        "FILE_MALFORMED": b"{}",
    }
    for code, content in told.items():
        with pytest.raises(LogError) as raised:
            resumption.read(mine, content)
        assert raised.value.code == code


def test_whoever_kept_nothing_vouches_for_nothing(tmp_path, log):
    with pytest.raises(LogError) as raised:
        resumption.read(profile(tmp_path, log), request(log, 12))
    assert raised.value.code == "CHECKPOINT_NONE"
