import subprocess
import sys

from gateway.client import slots
from gateway.client.slots import Slot

HOLD = """
import sys, pathlib
from gateway.client import slots
held = slots.hold(pathlib.Path(sys.argv[1]))
print(held.slot.number, flush=True)
sys.stdin.read()
"""


def test_a_profile_without_slots_uses_the_files_at_its_top(tmp_path):
    slot = slots.current(tmp_path)
    assert slot == Slot(tmp_path, 0)
    assert (slot.key, slot.certificate) == (tmp_path / "key.pem", tmp_path / "certificate.pem")
    assert [slot.after.number, slot.after.after.number, slot.after.after.after.number] == [1, 2, 1]
    assert slot.after.key == tmp_path / "slots" / "1" / "key.pem"


def test_slots_are_exchanged_only_when_no_process_holds_the_old_one(tmp_path):
    old = Slot(tmp_path, 0)
    ours = slots.hold(tmp_path)
    other = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert other.stdout.readline() == b"0\n"
    assert not slots.exchange(old, old.after)
    ours.release()
    assert not slots.exchange(old, old.after)
    other.kill()
    other.communicate()
    assert slots.exchange(old, old.after)
    assert slots.current(tmp_path).number == 1
    assert slots.exchange(old, old.after)
    held = slots.hold(tmp_path)
    assert held.slot.number == 1
    held.release()


def test_who_waited_for_the_old_slot_gets_the_new_one(tmp_path, monkeypatch):
    """The lock of the old slot is had only after the exchange: it is let go again."""
    old, seen = Slot(tmp_path, 0), []
    real = slots._locked

    def locked(slot, how):
        seen.append(slot.number)
        if len(seen) == 1:
            assert slots.exchange(old, old.after)
        return real(slot, how)

    monkeypatch.setattr(slots, "_locked", locked)
    held = slots.hold(tmp_path)
    assert held.slot.number == 1
    held.release()
    assert slots.exchange(Slot(tmp_path, 1), Slot(tmp_path, 2))


def test_one_process_renews_at_a_time(tmp_path):
    with slots.renewing(tmp_path) as first, slots.renewing(tmp_path) as second:
        assert (first, second) == (True, False)
    with slots.renewing(tmp_path) as again:
        assert again
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "slots").iterdir()} == {0o600}
