"""The recorder's end of the signer's socket.

Reconnects by itself, says at once when the signer is gone.
"""

import asyncio
import base64
import json
from collections.abc import Mapping
from pathlib import Path

from gateway.tlog import checkpoint, note
from gateway.tlog.checkpoint import Checkpoint

# A signature takes about a millisecond, a busy disk's fsync up to seconds.
ANSWER_TIMEOUT_S = 5.0
# The signer is restarted within half a second; asking more often gains nothing.
RECONNECT_S = 0.05


class SignerError(Exception):
    """The signer gives no checkpoint."""


class SignerAwayError(SignerError):
    """The signer does not answer."""


class SignerRefusedError(SignerError):
    """The signer refuses this head: `why` is inconsistent, malformed or state."""

    def __init__(self, why: str) -> None:
        """Make an error."""
        super().__init__(f"the signer refuses: {why}")
        self.why = why


class SignerStandsError(SignerError):
    """The signer stands elsewhere: ask again from entry `size`, with the newest head."""

    def __init__(self, size: int) -> None:
        """Make an error."""
        super().__init__(f"the signer stands at {size}")
        self.size = size


class SignerLink:
    """A connection to the signer; `start` before use, `close` after."""

    def __init__(self, path: Path) -> None:
        """Name the signer's socket; nothing is connected yet."""
        self._path = path
        self._writer: asyncio.StreamWriter | None = None
        self._answer: asyncio.Future[Mapping[str, object]] | None = None
        self._turn = asyncio.Lock()
        self._up = asyncio.Event()
        self._keeper: asyncio.Task[None] | None = None

    @property
    def available(self) -> bool:
        """Whether the connection stands, as far as anybody can know."""
        return self._writer is not None

    async def start(self) -> None:
        """Connect, and keep connecting whenever the signer goes.

        Returns after the first attempt.
        """
        if self._keeper is None:
            attempted = asyncio.Event()
            self._keeper = asyncio.create_task(self._keep(attempted))
            await attempted.wait()

    async def wait_available(self) -> None:
        """Return when the connection stands."""
        await self._up.wait()

    async def close(self) -> None:
        """Disconnect for good."""
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)
            self._keeper = None

    async def newest(self) -> tuple[str, Checkpoint]:
        """Return what the signer signed last, as a note and as what it says; raises SignerError."""
        return _checkpoint(await self._ask({"newest": True}))

    async def sign(
        self, begin: int, size: int, root: bytes, hashes: bytes
    ) -> tuple[str, Checkpoint]:
        """Return a checkpoint of `size` or later; `hashes` are the leaf hashes from `begin` on.

        Raises SignerStandsError when to ask again from elsewhere, SignerRefusedError,
        SignerAwayError.
        """
        return _checkpoint(
            await self._ask(
                {
                    "from": begin,
                    "size": size,
                    "root": root.hex(),
                    "hashes": base64.b64encode(hashes).decode(),
                }
            )
        )

    async def _ask(self, document: Mapping[str, object]) -> Mapping[str, object]:
        async with self._turn:
            writer = self._writer
            if writer is None:
                raise SignerAwayError("the signer is not connected")
            answer: asyncio.Future[Mapping[str, object]]
            self._answer = answer = asyncio.get_running_loop().create_future()
            try:
                async with asyncio.timeout(ANSWER_TIMEOUT_S):
                    writer.write(json.dumps(document).encode() + b"\n")
                    await writer.drain()
                    return await answer
            except (OSError, TimeoutError) as error:
                raise SignerAwayError("the signer does not answer") from error
            finally:
                self._answer = None
                if not answer.done() or answer.cancelled():
                    # A late answer must not be taken for that of the next question.
                    self._lose(writer)

    async def _keep(self, attempted: asyncio.Event) -> None:
        while True:
            try:
                reader, writer = await asyncio.open_unix_connection(self._path)
            except OSError:
                attempted.set()
                await asyncio.sleep(RECONNECT_S)
                continue
            self._writer = writer
            self._up.set()
            attempted.set()
            try:
                while line := await reader.readline():
                    self._deliver(line)
            except (OSError, ValueError):
                pass  # what follows is the same for every way of losing it
            finally:
                self._lose(writer)

    def _deliver(self, line: bytes) -> None:
        """Hand an answer to who waits for it.

        Raises ValueError when nobody asked or it is no answer.
        """
        document = json.loads(line)
        if self._answer is None or self._answer.done() or not isinstance(document, dict):
            raise ValueError("an answer to no question")
        self._answer.set_result(document)

    def _lose(self, writer: asyncio.StreamWriter) -> None:
        writer.close()
        if self._writer is writer:
            self._writer = None
            self._up.clear()
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(SignerAwayError("the signer went away"))


def _checkpoint(answer: Mapping[str, object]) -> tuple[str, Checkpoint]:
    """Return the checkpoint of an answer.

    Whose signature it bears is the reader's business, who has the key.
    """
    match answer:
        case {"checkpoint": str(raw)}:
            try:
                return raw, checkpoint.parse(note.split(raw)[0])
            except note.NoteError as error:
                raise SignerRefusedError("malformed") from error
        case {"have": int(size)}:
            raise SignerStandsError(size)
        case {"refused": str(why)}:
            raise SignerRefusedError(why)
        case _:
            raise SignerRefusedError("malformed")
