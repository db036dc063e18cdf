"""What a program left behind in a session of its own is ended, and nothing that was there before."""

import subprocess
import time
from pathlib import Path

from gateway.store import orphans

# Two forks and a session away from us, and its own child beside it.
LEFT = "setsid sh -c 'sleep 600 & echo $! >{0}.1; echo $$ >{0}.2; exec sleep 600' </dev/null >/dev/null 2>&1 &"


def pid(path: Path) -> int:
    deadline = time.monotonic() + 60
    while not (path.exists() and path.read_text().endswith("\n")):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return int(path.read_text())


def lives(one: int) -> bool:
    stat = Path(f"/proc/{one}/stat")
    return stat.exists() and stat.read_text().rpartition(")")[2].split()[0] != "Z"


def test_what_was_left_behind_ends_and_what_was_there_stays(tmp_path: Path) -> None:
    with subprocess.Popen(["sleep", "600"]) as earlier:
        try:
            before = orphans.adopt()
            subprocess.run(["sh", "-c", LEFT.format(tmp_path / "a")], check=True)
            left = [pid(tmp_path / "a.1"), pid(tmp_path / "a.2")]
            assert all(map(lives, left))
            orphans.end(before)
            assert not any(map(lives, left))
            assert earlier.poll() is None
        finally:
            earlier.kill()
    # From now on nothing is adopted any more.
    subprocess.run(["sh", "-c", LEFT.format(tmp_path / "b")], check=True)
    left = [pid(tmp_path / "b.1"), pid(tmp_path / "b.2")]
    assert not {one.pid for one in orphans._children()} & set(left)
    subprocess.run(["kill", "-9", *map(str, left)], check=True)
