"""The signer on its socket and as a process: shared writes, bad lines, no state, its end."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.config.home import Home
from gateway.signer.memory import STATE_FILE, Memory
from gateway.signer.serving import LINE_MAX_BYTES, Signer
from tests.audit.stage import until
from tests.signer.claims import OTHERS, line, signed


async def talk(path: Path, *lines: bytes) -> list[dict[str, object]]:
    while True:
        try:
            reader, writer = await asyncio.open_unix_connection(path)
            break
        except ConnectionRefusedError:  # bound, and not listening yet
            await asyncio.sleep(0.01)
    answers = []
    for each in lines:
        writer.write(each)
        await writer.drain()
        answer = await reader.readline()
        if not answer:
            break
        answers.append(json.loads(answer))
    writer.close()
    return answers


def served(
    home: Home, memory: Memory | None, *conversations: list[bytes]
) -> list[list[dict[str, object]]]:
    async def main() -> list[list[dict[str, object]]]:
        stop = asyncio.Event()
        task = asyncio.create_task(Signer(memory).serve(home.signer_socket, stop))
        await until(home.signer_socket.exists)
        try:
            return await asyncio.gather(
                *(talk(home.signer_socket, *each) for each in conversations)
            )
        finally:
            stop.set()
            await task

    return asyncio.run(main())


def test_conversations_on_the_socket(home: Home) -> None:
    memory = Memory.load(home)
    newest = b'{"newest": true}\n'
    one, two = served(
        home, memory, [newest, line(0, 5), b"nonsense\n", line(5, 12, OTHERS)], [line(0, 9)]
    )
    assert signed(memory, two[0]) == 9
    assert "checkpoint" in one[0]
    assert one[2] == {"refused": "malformed"}
    assert one[3] == {"refused": "inconsistent"}


def test_waiting_requests_share_one_write(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    memory = Memory.load(home)
    writes: list[int] = []
    real = Memory.save
    monkeypatch.setattr(Memory, "save", lambda self: (writes.append(self.growth.size), real(self)))
    answers = served(home, memory, *[[line(0, size)] for size in range(1, 60)])
    assert len(writes) < 30
    assert writes == sorted(writes)
    assert all("checkpoint" in each[0] or "have" in each[0] for each in answers)


def test_a_line_without_end_closes_only_its_own_connection(home: Home) -> None:
    memory = Memory.load(home)
    long = b"x" * (LINE_MAX_BYTES + 10)
    one, two = served(home, memory, [long + b"\n"], [line(0, 5)])
    assert one == []
    assert signed(memory, two[0]) == 5


def test_without_state_every_request_is_refused(home: Home) -> None:
    assert served(home, None, [b'{"newest": true}\n', line(0, 5)]) == [[{"refused": "state"}] * 2]


def test_a_full_disk_is_told_and_does_not_end_the_signer(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory = Memory.load(home)

    def full(self: Memory) -> None:
        raise OSError(28, "no space left on device")

    monkeypatch.setattr(Memory, "save", full)
    assert served(home, memory, [line(0, 5), line(0, 5)]) == [[{"refused": "state"}] * 2]
    monkeypatch.undo()
    assert signed(memory, served(home, memory, [line(0, 5)])[0][0]) == 5


PROGRAM = "import sys; from pathlib import Path; from gateway.config.home import Home; from gateway import signer; signer.main(Home(Path(sys.argv[1])))"


def start(home: Home) -> subprocess.Popen[bytes]:
    # As the one user of a HOME that is not root's: confine then keeps the user.
    return subprocess.Popen([sys.executable, "-c", PROGRAM, str(home.root)], stderr=subprocess.PIPE)


@pytest.mark.parametrize("lost", [False, True])
def test_the_process_serves_until_it_is_told_to_stop(home: Home, lost: bool) -> None:
    if os.geteuid() == 0:
        os.chown(home.root, 65534, 65534)  # a HOME that root did not make
    if lost:
        (home.secrets("signer") / STATE_FILE).unlink()
    process = start(home)
    try:
        asyncio.run(until(home.signer_socket.exists))
        (answer,) = asyncio.run(talk(home.signer_socket, line(0, 5)))
        assert ("refused" in answer) is lost
    finally:
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=10)
    assert process.returncode == 0
    assert (b"state lost" in said) is lost
