"""The link to the signer: who is away is known to be away, and no answer is taken for another's."""

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from gateway.audit.signing import (
    SignerAwayError,
    SignerError,
    SignerLink,
    SignerRefusedError,
    SignerStandsError,
)
from gateway.tlog.checkpoint import Checkpoint
from gateway.tlog.merkle import EMPTY_ROOT, leaf_hash
from tests.audit.stage import ORIGIN, RunningSigner, signer_home, until
from tests.tlog.test_proof import SIGNER

ROOT = leaf_hash(b"a")
NOTE = Checkpoint(ORIGIN, 1, ROOT).signed(SIGNER)
Answer = Callable[[bytes], Awaitable[bytes]]


def with_signer(play: Callable[[SignerLink, RunningSigner], Awaitable[None]]) -> None:
    async def main() -> None:
        with signer_home() as home:
            signer = RunningSigner(home)
            await signer.start()
            link = SignerLink(home.signer_socket)
            await link.start()
            await link.start()  # a second time changes nothing
            try:
                await play(link, signer)
            finally:
                await link.close()
                await link.close()
                await signer.kill()

    asyncio.run(main())


def with_answers(
    tmp_path: Path, answer: Answer, play: Callable[[SignerLink], Awaitable[None]]
) -> None:
    """Talk to a stranger in the signer's place."""

    talks: set[object] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        talks.add(writer)
        while line := await reader.readline():
            writer.write(await answer(line))
        writer.close()
        talks.discard(writer)

    async def main() -> None:
        server = await asyncio.start_unix_server(serve, tmp_path / "s")
        link = SignerLink(tmp_path / "s")
        await link.start()
        try:
            await play(link)
        finally:
            await link.close()
            server.close()
            await until(lambda: not talks)

    asyncio.run(main())


def test_signing(tmp_path: Path) -> None:
    async def play(link: SignerLink, signer: RunningSigner) -> None:
        assert link.available
        assert (await link.newest())[1] == Checkpoint(ORIGIN, 0, EMPTY_ROOT)
        note, found = await link.sign(0, 1, ROOT, ROOT)
        assert found == Checkpoint(ORIGIN, 1, ROOT)
        assert note == signer.memory.checkpoint
        both = await asyncio.gather(link.newest(), link.sign(1, 1, ROOT, b""))
        assert both[0] == both[1]
        with pytest.raises(SignerStandsError) as stands:
            await link.sign(3, 4, ROOT, ROOT)
        assert stands.value.size == 1
        with pytest.raises(SignerRefusedError) as refused:
            await link.sign(1, 2, ROOT, ROOT)
        assert refused.value.why == "inconsistent"
        with pytest.raises(SignerRefusedError) as refused:
            await link.sign(1, 2, ROOT, b"")
        assert refused.value.why == "malformed"

    with_signer(play)


def test_the_signer_goes_and_comes_back() -> None:
    async def play(link: SignerLink, signer: RunningSigner) -> None:
        await signer.kill()
        await until(lambda: not link.available)
        with pytest.raises(SignerAwayError):
            await link.newest()
        await signer.start()
        await link.wait_available()
        assert (await link.newest())[1].size == 0

    with_signer(play)


def test_a_signer_that_never_was(tmp_path: Path) -> None:
    async def main() -> None:
        link = SignerLink(tmp_path / "none")
        await link.start()
        assert not link.available
        with pytest.raises(SignerAwayError):
            await link.newest()
        await link.close()

    asyncio.run(main())


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"checkpoint": 1},
        {"checkpoint": "no note"},
        {"checkpoint": "log\n1\nAAAA\n\n— log AAAAAAAA\n"},
        {"have": "1"},
        {"refused": 1},
    ],
)
def test_answers_that_are_none(tmp_path: Path, document: object) -> None:
    async def answer(_: bytes) -> bytes:
        return json.dumps(document).encode() + b"\n"

    async def play(link: SignerLink) -> None:
        with pytest.raises(SignerRefusedError) as refused:
            await link.newest()
        assert refused.value.why == "malformed"

    with_answers(tmp_path, answer, play)


@pytest.mark.parametrize("raw", [b"nonsense\n", b"[]\n", b"\xff\n"])
def test_a_line_that_is_no_answer_ends_the_connection(tmp_path: Path, raw: bytes) -> None:
    async def answer(_: bytes) -> bytes:
        return raw

    async def play(link: SignerLink) -> None:
        with pytest.raises(SignerAwayError):
            await link.newest()
        await link.wait_available()

    with_answers(tmp_path, answer, play)


def test_an_answer_to_nobody_ends_the_connection(tmp_path: Path) -> None:
    good = json.dumps({"checkpoint": NOTE}).encode() + b"\n"

    async def answer(_: bytes) -> bytes:
        return good + good

    async def play(link: SignerLink) -> None:
        with contextlib.suppress(SignerError):  # when both lines came at once
            await link.newest()
        await asyncio.sleep(0.02)
        await link.wait_available()

    with_answers(tmp_path, answer, play)


def test_a_late_answer_is_not_the_next_ones(tmp_path: Path) -> None:
    asked: list[bytes] = []

    async def answer(line: bytes) -> bytes:
        asked.append(line)
        if len(asked) == 1:
            await asyncio.sleep(0.1)
            return json.dumps({"have": 99}).encode() + b"\n"
        return json.dumps({"checkpoint": NOTE}).encode() + b"\n"

    async def play(link: SignerLink) -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.02):
                await link.newest()
        assert not link.available
        await link.wait_available()
        assert (await link.newest())[1].size == 1

    with_answers(tmp_path, answer, play)


def test_a_signer_that_is_too_slow_is_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.audit.signing.ANSWER_TIMEOUT_S", 0.02)

    async def answer(_: bytes) -> bytes:
        await asyncio.sleep(0.1)
        return b"{}\n"

    async def play(link: SignerLink) -> None:
        with pytest.raises(SignerAwayError):
            await link.newest()

    with_answers(tmp_path, answer, play)
