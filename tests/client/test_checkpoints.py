import asyncio

import pytest

from gateway.client import profile as profiles
from gateway.client.checkpoints import KEY_UNKNOWN, Checkpoints, LogError
from gateway.client.profile import Remote
from gateway.errors import Reason, Refusal, refuse
from gateway.tlog import merkle
from gateway.tlog.checkpoint import Checkpoint
from tests.client.small_gateway import Log


def log_of(count, log=None):
    log = log or Log()
    for number in range(count):
        log.append(f"entry {number}".encode())
    return log


def profile(folder, log):
    vkey = log if isinstance(log, str) else str(log.signer.verifier)
    remote = Remote("127.0.0.1", "gateway.test", "gateway.test", "140105", "uploader", vkey)
    return profiles.write(folder, remote, key=b"k", certificate=b"c", root=b"r")


def settle(checkpoints, log, asked=None):
    async def fetch(old, new):
        if asked is not None:
            asked.append((old, new))
        return merkle.consistency_path(log.node, old, new)

    return asyncio.run(checkpoints.settle(fetch))


def test_the_newest_is_kept_once_it_continues_the_one_before(tmp_path):
    log = log_of(9)
    kept = Checkpoints(profile(tmp_path, log))
    kept.see(log.checkpoint(4))
    assert settle(kept, log).size == 4
    again = Checkpoints(profile(tmp_path, log))
    assert again.kept.size == 4
    again.see(log.checkpoint(9))
    asked = []
    assert settle(again, log, asked).size == 9
    assert asked == [(4, 9)]
    assert (tmp_path / "checkpoint").read_text() == log.checkpoint(9)


def test_only_the_profiles_key_counts(tmp_path):
    stranger = Log()
    stranger.append(b"x")
    checkpoints = Checkpoints(profile(tmp_path, log_of(1)))
    with pytest.raises(LogError) as raised:
        checkpoints.see(stranger.checkpoint())
    assert raised.value.code == "SIGNATURE_MISSING"
    with pytest.raises(LogError):
        Checkpoints(profile(tmp_path, "no key"))


def test_a_log_of_another_name_is_not_ours(tmp_path):
    log = log_of(3)
    other = Log("elsewhere.test/audit")
    checkpoints = Checkpoints(profile(tmp_path, log))
    text = log.checkpoint().split("\n")
    with pytest.raises(LogError):
        checkpoints.see("\n".join(["elsewhere.test/audit", *text[1:]]))
    with pytest.raises(LogError):
        checkpoints.see(other.checkpoint())


def test_two_roots_of_one_size_are_a_fork(tmp_path):
    log = log_of(3)
    fork = Log(seed=log.signer._private.private_bytes_raw())
    log_of(2, fork)
    fork.append(b"another")
    checkpoints = Checkpoints(profile(tmp_path, log))
    checkpoints.see(log.checkpoint())
    with pytest.raises(LogError) as raised:
        checkpoints.see(fork.checkpoint())
    assert raised.value.code == "LOG_FORKED"


def test_a_rewritten_log_is_found_out_also_when_it_grew(tmp_path):
    log = log_of(5)
    checkpoints = Checkpoints(profile(tmp_path, log))
    checkpoints.see(log.checkpoint())
    settle(checkpoints, log)
    rewritten = Log(seed=log.signer._private.private_bytes_raw())
    log_of(4, rewritten)
    log_of(6, rewritten)
    checkpoints.see(rewritten.checkpoint())
    with pytest.raises(LogError) as raised:
        settle(checkpoints, rewritten)
    assert raised.value.code == "LOG_INCONSISTENT"
    assert checkpoints.kept.size == 5


def test_an_older_log_than_was_kept_must_be_a_part_of_it(tmp_path):
    log = log_of(8)
    checkpoints = Checkpoints(profile(tmp_path, log))
    checkpoints.see(log.checkpoint(8))
    settle(checkpoints, log)
    checkpoints.see(log.checkpoint(3))
    asked = []
    settle(checkpoints, log, asked)
    assert asked == [(3, 8)]
    assert checkpoints.kept.size == 8


def test_what_nobody_answered_for_is_proven_the_next_time(tmp_path):
    log = log_of(9)
    checkpoints = Checkpoints(profile(tmp_path, log))
    checkpoints.see(log.checkpoint(2))
    settle(checkpoints, log)
    checkpoints.see(log.checkpoint(6))

    async def away(old, new):
        raise refuse(Reason.AUDIT_DEGRADED)

    with pytest.raises(Refusal):
        asyncio.run(checkpoints.settle(away))
    again = Checkpoints(profile(tmp_path, log))
    assert again.unproven == 1
    assert again.kept.size == 2
    asked = []
    settle(again, log, asked)
    assert asked == [(2, 6)]
    assert Checkpoints(profile(tmp_path, log)).unproven == 0


def test_of_many_only_some_are_drawn(tmp_path):
    log = log_of(60)
    checkpoints = Checkpoints(profile(tmp_path, log))
    for size in range(1, 61):
        checkpoints.see(log.checkpoint(size))
    asked = []
    settle(checkpoints, log, asked)
    assert 1 <= len(asked) <= 4
    assert {new for _, new in asked} == {60}
    assert checkpoints.unproven == 0


def test_a_kept_file_that_was_changed_is_no_checkpoint(tmp_path):
    log = log_of(4)
    made = profile(tmp_path, log)
    made.checkpoint.write_text(log.checkpoint().replace("\n4\n", "\n5\n"))
    with pytest.raises(LogError):
        Checkpoints(made)


def test_a_key_that_followed_is_trusted_from_then_on_and_kept(tmp_path):
    log = log_of(3)
    made = profile(tmp_path, log)
    checkpoints = Checkpoints(made)
    checkpoints.see(log.checkpoint())
    log.follow(overlap=False)
    log_of(2, log)
    with pytest.raises(LogError) as raised:
        checkpoints.see(log.checkpoint())
    assert raised.value.code == KEY_UNKNOWN
    checkpoints.follow(log.notes)
    checkpoints.follow(log.notes)
    assert [one.from_size for one in checkpoints.news] == [3]
    assert checkpoints.see(log.checkpoint()).size == 5
    # Of the old key too, up to where it was followed: old receipts verify for ever.
    old = Checkpoint(log.signer.verifier.name, 3, merkle.root_of(log.hashes[:3]))
    assert checkpoints.see(old.signed(log.signer)).size == 3
    log.follow(overlap=False)
    again = Checkpoints(made)
    assert again.news == []
    again.follow(log.notes)
    assert sorted(one.name for one in (tmp_path / "log-keys").iterdir()) == ["1", "2"]
    assert (tmp_path / "log-keys" / "1").stat().st_mode & 0o777 == 0o600
    assert Checkpoints(made).see(log.checkpoint()).size == 5


def test_what_the_old_key_signed_beyond_its_end_is_judged_anew(tmp_path):
    """It was believed while nobody knew better, and is not proven with what is known now."""
    log = log_of(3)
    checkpoints = Checkpoints(profile(tmp_path, log))
    log.follow(overlap=False)
    log_of(2, log)
    forged = Checkpoint(log.signer.verifier.name, 5, merkle.root_of(log.hashes)).signed(log.signer)
    assert checkpoints.see(forged).size == 5
    checkpoints.follow(log.notes)
    with pytest.raises(LogError) as raised:
        settle(checkpoints, log)
    assert raised.value.code == "KEY_ENDED"


def test_a_list_of_keys_that_was_tampered_with_is_told(tmp_path):
    log = log_of(3)
    made = profile(tmp_path, log)
    log.follow()
    Checkpoints(made).follow(log.notes)
    (tmp_path / "log-keys" / "1").write_text(log.notes[0].replace("from 3", "from 4"))
    with pytest.raises(LogError) as raised:
        Checkpoints(made)
    assert raised.value.code == "SIGNATURE_INVALID"
