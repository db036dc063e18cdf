"""Runs a tool of the machine that answers and ends (`wg`, `nft`): no shell, no environment."""

import asyncio

from gateway.vpn.table import ANSWER_BYTES, MalformedAnswerError


async def run(*words: str) -> tuple[int, bytes]:
    """Return exit status and what was printed, errors too; raises OSError, MalformedAnswerError.

    Whoever waits no longer (a timeout, a cancelled task) leaves no process behind.
    """
    process = await asyncio.create_subprocess_exec(
        *words,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env={},
    )
    try:
        if process.stdout is None:
            raise MalformedAnswerError("the tool has no output")
        try:
            await process.stdout.readexactly(ANSWER_BYTES)
        except asyncio.IncompleteReadError as end:
            return await process.wait(), end.partial
        raise MalformedAnswerError("the answer has no end")
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
