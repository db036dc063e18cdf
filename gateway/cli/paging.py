"""Every page of a list, and calls that change something under an id of their own."""

import uuid
from collections.abc import Awaitable, Callable, Iterable
from typing import Protocol, TypeVar

from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message

PAGE = 1000
Row = TypeVar("Row", bound=Message)


class Page(Protocol):
    """The part that all answers to a List call share."""

    @property
    def next_page_token(self) -> str:
        """Where the next page begins; empty on the last."""
        ...


Answer = TypeVar("Answer", bound=Page)


async def every(
    ask: Callable[[str], Awaitable[Answer]], rows: Callable[[Answer], Iterable[Row]]
) -> list[Row]:
    """Return the rows of all pages; `ask` gets the page's token."""
    found: list[Row] = []
    token = ""
    while True:
        answer = await ask(token)
        found += rows(answer)
        token = answer.next_page_token
        if not token:
            return found


def documents(messages: Iterable[Message]) -> list[dict[str, object]]:
    """Return messages as --json shows them."""
    return [document(message) for message in messages]


def document(message: Message) -> dict[str, object]:
    """Return a message as --json shows it: the contract's field names."""
    shown: dict[str, object] = MessageToDict(message, preserving_proto_field_name=True)
    return shown


def new_id() -> str:
    """Return an id for a call that changes something."""
    return str(uuid.uuid4())
