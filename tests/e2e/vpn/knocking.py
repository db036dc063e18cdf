"""Asks for a TCP connection from any address of a machine, and listens as a program without binding would."""

import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.e2e.vpn.machines import Machine, until

IN, REFUSED, NO_ANSWER = "in", "refused", "no answer"
# Longer than two retries of a SYN.
_WAIT_S = 4
_KNOCK = f"""
import socket, sys
host, port, source = sys.argv[1:]
try:
    socket.create_connection((host, int(port)), {_WAIT_S}, (source, 0)).close()
    print("{IN}")
except ConnectionRefusedError:
    print("{REFUSED}")
except OSError:
    print("{NO_ANSWER}")
"""
_LISTEN = """
import socket, sys
with socket.create_server((sys.argv[1], int(sys.argv[2]))) as listening:
    print("listening", flush=True)
    while True:
        taken, address = listening.accept()
        taken.close()
        print(address[0], flush=True)
"""


def knock(machine: Machine, host: str, port: int, source: str = "") -> str:
    """Ask for one connection, and return IN, REFUSED or NO_ANSWER."""
    return machine.run(sys.executable, "-c", _KNOCK, host, port, source).stdout.strip()


@contextmanager
def listening(machine: Machine, host: str, port: int) -> Iterator[Callable[[], list[str]]]:
    """Listen without binding to a device; what is given tells whose connections came."""
    with tempfile.TemporaryDirectory(prefix="heard-") as folder:
        out = Path(folder) / "out"
        begun = machine.start(sys.executable, "-c", _LISTEN, host, port, out=out)
        try:
            until(lambda: out.exists() and "listening" in out.read_text(), "a listener")
            yield lambda: out.read_text().split()[1:]
        finally:
            machine.end(begun)
