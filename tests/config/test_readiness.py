import os

from gateway.config import readiness


def test_says_so_once(monkeypatch) -> None:
    reading, writing = os.pipe()
    monkeypatch.setenv(readiness.READY_VARIABLE, str(writing))
    readiness.announce()
    readiness.announce()
    with os.fdopen(reading, "rb") as pipe:
        assert pipe.read() == b"1"


def test_without_a_supervisor_nothing_happens(monkeypatch) -> None:
    monkeypatch.delenv(readiness.READY_VARIABLE, raising=False)
    readiness.announce()
