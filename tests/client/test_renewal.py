from dataclasses import replace

from gateway.client import papers, renewal
from gateway.client.renewal import Renewal
from tests.client.small_gateway import DAY_US, make_papers

NOW_US = 1_800_000_000_000_000


def test_a_moment_is_picked_once_within_the_window_and_again_when_the_window_changes():
    window = (NOW_US + DAY_US, NOW_US + 3 * DAY_US)
    picked = {Renewal("1").told(window, NOW_US).moment_us for _ in range(50)}
    assert len(picked) == 50
    assert all(window[0] <= moment <= window[1] for moment in picked)
    first = Renewal("1").told(window, NOW_US)
    again = first.told(window, NOW_US + DAY_US)
    assert (again.moment_us, again.window_asked_us) == (first.moment_us, NOW_US + DAY_US)
    rolled = first.told((NOW_US, NOW_US), NOW_US + DAY_US)
    assert rolled.moment_us == NOW_US + DAY_US
    assert rolled.due(NOW_US + DAY_US)


def test_what_is_begun_is_due_until_it_failed_and_then_later_each_time():
    begun = Renewal("1", state="asked")
    assert begun.due(NOW_US)
    pauses = []
    for _ in range(12):
        begun = begun.failed(NOW_US)
        pauses.append((begun.again_us - NOW_US) / 60e6)
        assert not begun.due(begun.again_us - 1)
        assert not begun.window_due(begun.again_us - 1)
        assert begun.due(begun.again_us)
    assert pauses[:7] == [1, 2, 4, 8, 16, 32, 60]
    assert pauses[-1] == 60
    assert Renewal("1").failed(NOW_US).failing() is False
    assert begun.failing()
    assert not Renewal("1").due(NOW_US)


def test_the_window_is_asked_for_once_a_day_and_of_a_short_certificate_more_often():
    short = papers.read(make_papers().client[1])
    kept = Renewal.of(short)
    assert kept.ask_every_us == (short.not_after_us - short.not_before_us) // 8
    assert not kept.window_due(short.not_before_us + kept.ask_every_us - 1)
    assert kept.window_due(short.not_before_us + kept.ask_every_us)
    long = replace(short, not_after_us=short.not_before_us + 14 * DAY_US)
    assert Renewal.of(long).ask_every_us == DAY_US


def test_the_journal_is_of_one_certificate(tmp_path):
    ours, theirs = (papers.read(make_papers().client[1]) for _ in range(2))
    assert renewal.load(tmp_path, ours) == Renewal.of(ours)
    kept = replace(Renewal.of(ours), state="issued", issued_us=5, failures=2, window=(1, 2))
    renewal.save(tmp_path, kept)
    assert renewal.load(tmp_path, ours) == kept
    assert renewal.load(tmp_path, theirs) == Renewal.of(theirs)
    for broken in (b"{", b"{}", b'{"serial": 1, "window": [], "colour": 2}'):
        renewal.journal(tmp_path).write_bytes(broken)
        assert renewal.load(tmp_path, ours) == Renewal.of(ours)
