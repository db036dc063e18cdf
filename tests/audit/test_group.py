"""The parts of a group that need no database; the rest is proven through the recorder."""

import asyncio

import pytest

from gateway.audit.event import Event
from gateway.audit.group import Append, Entry
from gateway.errors import Reason, refuse
from tests.audit.stage import UPLOAD

ENTRY = Entry(7, b"{}", 8, "note", ())


def test_an_entry_or_an_error_is_given_once() -> None:
    async def main() -> None:
        append = Append(UPLOAD)
        append.settle(ENTRY)
        append.fail(ValueError("too late"))
        append.settle(ENTRY)
        assert await append.future is ENTRY

    asyncio.run(main())


def test_a_refusal_learns_its_leaf() -> None:
    async def main() -> None:
        append = Append(UPLOAD)
        refusal = refuse(Reason.NOT_FOUND)
        append.undone(refusal)
        assert append.event == UPLOAD.with_(decision="deny", reason="NOT_FOUND")
        append.settle(ENTRY)
        with pytest.raises(type(refusal)):
            await append.future
        assert refusal.leaf_index == 7

    asyncio.run(main())


def test_any_other_error_says_nothing_of_itself() -> None:
    async def main() -> None:
        append = Append(Event(kind="upload"))
        append.undone(KeyError("张三"))
        assert append.event == Event(kind="upload", decision="error", reason="INTERNAL")
        append.settle(ENTRY)
        with pytest.raises(KeyError):
            await append.future

    asyncio.run(main())
