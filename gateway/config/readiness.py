"""How a process tells the supervisor that it serves: one byte into an inherited pipe."""

import os

READY_VARIABLE = "GATEWAY_READY_FD"


def announce() -> None:
    """Say once that this process is ready; without a supervisor nothing happens."""
    descriptor = os.environ.pop(READY_VARIABLE, None)
    if descriptor is None:
        return
    os.write(int(descriptor), b"1")
    os.close(int(descriptor))
