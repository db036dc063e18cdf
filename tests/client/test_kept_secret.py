"""The journal's steps, each from what it is told alone; and its file, changed by one process at a time."""

import threading

import pytest

from gateway.client import kept_secret
from gateway.client.kept_secret import Kept
from gateway.client.secret import Secret

OLD, NEW, OTHER = Secret("old"), Secret("new"), Secret("other")
ASKED = Kept(OLD).asked(NEW, "id")


def test_a_pending_secret_is_never_replaced_by_another():
    assert (ASKED.next, ASKED.request_id, ASKED.state) == (NEW, "id", "asked")
    assert ASKED.asked(OTHER, "id 2") == ASKED
    assert ASKED.forgotten().asked(OTHER, "id 2").next == OTHER


def test_the_likeliest_is_tried_first():
    assert Kept(OLD).candidates == (OLD,)
    assert ASKED.candidates == (NEW, OLD)


def test_only_the_answer_to_its_own_request_counts():
    assert ASKED.given("another") == ASKED
    assert ASKED.given("id").state == "given"


def test_what_opened_a_session_is_the_current_one():
    given = ASKED.given("id")
    assert given.opened(NEW) == ASKED.opened(NEW) == Kept(NEW)
    # It lapsed unused: the same one is given again.
    assert given.opened(OLD) == ASKED
    assert ASKED.opened(OLD) == ASKED


def test_a_login_clears_failures_unless_a_rotation_is_under_way():
    failed = Kept(OLD).failed("LOGIN_FAILED", 5)
    assert failed.opened(OLD) == Kept(OLD)
    assert ASKED.failed("STORE_AWAY", 5).opened(OLD).failures == 1


def test_pauses_grow_to_an_hour_and_two_failures_are_told():
    kept, pauses = ASKED, []
    for _ in range(8):
        kept = kept.failed("STORE_AWAY", 0)
        pauses.append(kept.again_us // 60_000_000)
    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60]
    assert not ASKED.failed("STORE_AWAY", 0).failing()
    assert ASKED.failed("STORE_AWAY", 0).failed("STORE_AWAY", 0).failing()
    assert ASKED.failed("SECRET_REPLACED", 0).failing()


def test_a_moment_is_picked_once_in_each_window_and_never_in_the_past():
    told = Kept(OLD).told((100, 200), 0)
    assert 100 <= told.moment_us <= 200
    assert told.told((100, 200), 150) == told
    assert Kept(OLD).told((100, 200), 500).moment_us == 500
    assert told.told((0, 0), 0).moment_us == 0
    assert not told.due(99)
    assert told.due(200)
    assert not Kept(OLD).due(10**18)
    assert ASKED.due(0)
    assert not ASKED.failed("STORE_AWAY", 0).due(59_999_999)
    assert ASKED.failed("STORE_AWAY", 0).due(60_000_000)


@pytest.mark.parametrize("kept", [Kept(OLD), ASKED, ASKED.failed("X", 7).told((1, 2), 0)])
def test_it_is_read_as_it_was_written_by_its_owner_alone(tmp_path, kept):
    assert kept_secret.load(tmp_path) is None
    assert kept_secret.change(tmp_path, lambda found: found) is None
    kept_secret.save(tmp_path, kept)
    assert kept_secret.load(tmp_path) == kept
    assert kept_secret.journal(tmp_path).stat().st_mode & 0o777 == 0o600
    assert "old" not in repr(kept)
    kept_secret.forget(tmp_path)
    kept_secret.forget(tmp_path)
    assert kept_secret.load(tmp_path) is None


def test_steps_of_several_processes_follow_one_another(tmp_path):
    kept_secret.save(tmp_path, Kept(OLD))

    def fail():
        for _ in range(20):
            kept_secret.change(tmp_path, lambda found: found.failed("X", 0))

    threads = [threading.Thread(target=fail) for _ in range(3)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert kept_secret.load(tmp_path).failures == 60
