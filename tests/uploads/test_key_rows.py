"""Rows of key columns: refusal of what changed meanwhile, and numbers that change hands."""

import asyncio
from collections.abc import Callable

import pytest

from gateway.errors import Reason, Refusal
from gateway.uploads.key_rows import _expect
from tests.records.test_child import number
from tests.uploads.county import a_child, county, states


def test_a_row_that_another_process_changed_is_refused() -> None:
    _expect(2, 2)
    with pytest.raises(Refusal) as refused:
        _expect(1, 2)
    assert refused.value.reason is Reason.REVISION_STALE


def test_a_number_freed_and_taken_again(conninfo: Callable[[str], str]) -> None:
    """Its row stays, with nobody's tag in between."""

    async def play() -> None:
        async with county(conninfo) as one:
            mine = {"document": 1, "document_number": number()}
            none = {"document": 88, "document_number": ""}
            owner = "SELECT child_tag FROM gateway.child_identity"
            await one.upload(a_child(1, **mine), a_child(2))
            assert await one.rows(owner) == [(one.tag(a_child(1)),)]
            assert states(await one.upload(a_child(1, revision=1, **none))) == ["accepted"]
            assert await one.rows(owner) == [(None,)]
            assert states(await one.upload(a_child(2, revision=1, **mine))) == ["accepted"]
            assert await one.rows(owner) == [(one.tag(a_child(2)),)]
            again = a_child(2, revision=2, birth_weight_grams=3000, **mine)
            assert states(await one.upload(again)) == ["accepted"]
            assert await one.rows(owner) == [(one.tag(a_child(2)),)]

    asyncio.run(play())
