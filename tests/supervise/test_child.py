"""One child, the real signer: it says that it is ready, dies by a signal, ends when asked."""

import asyncio
import os
import signal
from pathlib import Path

import pytest

from gateway.config.home import Home
from gateway.supervise import child
from gateway.supervise.child import Child


def test_a_child_says_that_it_is_ready_and_ends_when_asked(founded: Home) -> None:
    async def run() -> None:
        signer = await Child.start(founded, "signer")
        assert await signer.ready() is True
        # A group of its own, in our session: ^C is not for it, and priorities count across processes.
        assert os.getpgid(signer.pid) == signer.pid
        assert os.getsid(signer.pid) == os.getsid(0)
        assert await signer.finish() == 0

    asyncio.run(run())


@pytest.mark.skipif(os.geteuid() != 0, reason="only root's processes are other users")
def test_a_child_with_a_user_of_its_own_has_no_home_of_ours(founded: Home, monkeypatch) -> None:
    """libpq looks there for certificates, and fails where it may not look."""
    monkeypatch.setenv("HOME", "/root")

    async def run() -> list[bytes]:
        signer = await Child.start(founded, "signer")
        try:
            assert await signer.ready() is True
            return environment(signer.pid)
        finally:
            await signer.finish()

    assert [one for one in asyncio.run(run()) if one.startswith(b"HOME=")] == [b"HOME=/nonexistent"]


def environment(pid: int) -> list[bytes]:
    return Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")


def test_a_killed_child_tells_its_signal(founded: Home) -> None:
    async def run() -> None:
        signer = await Child.start(founded, "signer")
        await signer.ready()
        os.kill(signer.pid, signal.SIGKILL)
        assert await signer.ended() == -signal.SIGKILL
        assert await signer.finish() == -signal.SIGKILL

    asyncio.run(run())


def test_a_child_that_fails_is_never_ready_and_its_words_are_kept(founded: Home) -> None:
    async def run() -> None:
        nobody = await Child.start(founded, "postgres")
        assert await nobody.ready() is False
        assert await nobody.ended() == 2

    asyncio.run(run())
    assert "PROCESS" in child.log_path(founded, "postgres").read_text()


def test_a_stuck_child_is_killed(founded: Home, monkeypatch) -> None:
    monkeypatch.setattr(child, "READY_TIMEOUT_S", 0.2)
    monkeypatch.setattr(child, "FINISH_TIMEOUT_S", 0.2)

    async def run() -> None:
        signer = await Child.start(founded, "signer")
        os.kill(signer.pid, signal.SIGSTOP)
        assert await signer.ready() is False
        assert await signer.finish() == -signal.SIGKILL

    asyncio.run(run())
