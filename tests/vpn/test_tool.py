"""A tool's answer is its status and its words; one that hangs or floods is ended, and nothing of it is left."""

import asyncio
import os

import pytest

from gateway.vpn import tool
from gateway.vpn.table import MalformedAnswerError


def script(folder, body):
    path = folder / "tool"
    path.write_text(f"#!/bin/sh\necho $$ > {folder}/pid\n{body}\n")
    path.chmod(0o700)
    return str(path)


def test_status_words_and_errors_come_back_and_nothing_goes_along(tmp_path, monkeypatch):
    monkeypatch.setenv("SECRET", "x")
    path = script(tmp_path, 'echo "said $*"; echo wrong >&2; /usr/bin/env; exec /bin/cat')
    status, said = asyncio.run(tool.run(path, "a b", "*"))
    assert status == 0
    assert said.startswith(b"said a b *\nwrong\n")
    assert b"SECRET" not in said
    assert asyncio.run(tool.run(script(tmp_path, "echo no; exit 3"))) == (3, b"no\n")
    with pytest.raises(OSError, match="none"):
        asyncio.run(tool.run(str(tmp_path / "none")))


def test_whoever_is_not_waited_for_is_ended(tmp_path):
    async def patience(seconds):
        async with asyncio.timeout(seconds):
            await tool.run(script(tmp_path, "exec /bin/sleep 600"))

    with pytest.raises(TimeoutError):
        asyncio.run(patience(0.5))
    _is_gone(tmp_path)
    with pytest.raises(MalformedAnswerError, match="no end"):
        asyncio.run(tool.run(script(tmp_path, "exec /bin/cat /dev/zero")))
    _is_gone(tmp_path)


def _is_gone(folder):
    with pytest.raises(ProcessLookupError):
        os.kill(int((folder / "pid").read_text()), 0)
