"""Requests are values: equal ones are one, and nobody changes one after the decision."""

from dataclasses import FrozenInstanceError

import pytest

from gateway.policy.request import Actor, Context, Request, Resource


def asked(roles: tuple[str, ...] = ("uploader",)) -> Request:
    actor = Actor("140105", ("140105", "140100"), frozenset(roles), "proven")
    return Request(
        "UploadBatches",
        actor,
        Resource("UnitRecords", ("140105", "140100"), "1401050001"),
        Context(True, False),
    )


def test_equal_requests_are_one() -> None:
    assert {asked(("a", "b")), asked(("b", "a"))} == {asked(("a", "b"))}
    assert asked() != asked(("auditor",))


def test_a_request_does_not_change() -> None:
    with pytest.raises(FrozenInstanceError):
        asked().action = "GetLeaf"  # type: ignore[misc]
