"""strongSwan's vici protocol, as much of it as asks which tunnels stand (libcharon's vici README).

Packets are a length of four bytes, a type, mostly a name, and a message: a tree of sections, values
and lists. The parser is pure, bounded, and refuses what it does not know.
"""

import asyncio
import struct

from gateway.vpn.table import ANSWER_BYTES, MalformedAnswerError

# README.md, "Transport protocol" and "Packet layer".
_LENGTH = struct.Struct("!I")
_PACKET_BYTES = 512 * 1024
REQUEST, RESPONSE, _, REGISTER, _, CONFIRM, _, EVENT = range(8)
# "Message format".
_SECTION, _SECTION_END, _VALUE, _LIST, _ITEM, _LIST_END = range(1, 7)
_DEPTH_MAX = 8
Section = dict[str, "str | list[str] | Section"]


async def list_sas(path: str) -> list[Section]:
    """Return each IKE SA that charon lists; raises OSError, MalformedAnswerError."""
    return [parse(message) for message in await told(path)]


async def told(path: str) -> list[bytes]:
    """Return the messages of the same, as they came; raises OSError, MalformedAnswerError."""
    reader, writer = await asyncio.open_unix_connection(path)
    try:
        writer.write(WATCH)
        if await _packet(reader) != bytes([CONFIRM]):
            raise MalformedAnswerError("no events to be had")
        writer.write(LIST)
        found: list[bytes] = []
        left = ANSWER_BYTES
        while (said := await _packet(reader))[0] == EVENT:
            left -= len(said)
            if left < 0:
                raise MalformedAnswerError("the answer has no end")
            name, message = _named(said[1:])
            if name != _EVENT:
                raise MalformedAnswerError("another event")
            found.append(message)
        if said[0] != RESPONSE or parse(said[1:]).get("success", "yes") != "yes":
            raise MalformedAnswerError("the request failed")
        return found
    except asyncio.IncompleteReadError:
        raise MalformedAnswerError("the answer is cut short") from None
    finally:
        writer.close()


def packet(kind: int, name: str = "", message: bytes = b"") -> bytes:
    """Return a packet, its length before it; "": of a type that has no name."""
    named = bytes([len(name)]) + name.encode("ascii") if name else b""
    body = bytes([kind]) + named + message
    return _LENGTH.pack(len(body)) + body


_EVENT = "list-sa"
# What is asked, one after the other: charon confirms the first, then tells event by event.
WATCH, LIST = packet(REGISTER, _EVENT), packet(REQUEST, "list-sas")


def answer(messages: list[bytes]) -> bytes:
    """Return what charon would send in answer to LIST with these messages."""
    events = [packet(EVENT, _EVENT, message) for message in messages]
    return b"".join([*events, packet(RESPONSE)])


def parse(message: bytes) -> Section:
    """Return the tree of a message; raises MalformedAnswerError."""
    root: Section = {}
    open_sections: list[Section] = [root]
    items: list[str] | None = None
    at = 0
    while at < len(message):
        kind = message[at]
        at += 1
        if items is not None:
            if kind == _ITEM:
                text, at = _sized(message, at, 2)
                items.append(text)
            elif kind == _LIST_END:
                items = None
            else:
                raise MalformedAnswerError("a list holds items only")
        elif kind == _SECTION_END:
            open_sections.pop()
            if not open_sections:
                raise MalformedAnswerError("a section ends that never began")
        else:
            name, at = _sized(message, at, 1)
            inside = open_sections[-1]
            if name in inside or len(open_sections) > _DEPTH_MAX:
                raise MalformedAnswerError("a name twice, or too deep")
            if kind == _SECTION:
                section: Section = {}
                inside[name] = section
                open_sections.append(section)
            elif kind == _VALUE:
                inside[name], at = _sized(message, at, 2)
            elif kind == _LIST:
                inside[name] = items = []
            else:
                raise MalformedAnswerError("an unknown element")
    if len(open_sections) != 1 or items is not None:
        raise MalformedAnswerError("the message is cut short")
    return root


async def _packet(reader: asyncio.StreamReader) -> bytes:
    (length,) = _LENGTH.unpack(await reader.readexactly(_LENGTH.size))
    if not 0 < length <= _PACKET_BYTES:
        raise MalformedAnswerError("a packet of another length")
    return await reader.readexactly(length)


def _named(body: bytes) -> tuple[str, bytes]:
    name, at = _sized(body, 0, 1)
    return name, body[at:]


def _sized(message: bytes, at: int, width: int) -> tuple[str, int]:
    """Return the text whose length stands before it in `width` bytes, and where it ends."""
    begin = at + width
    end = begin + int.from_bytes(message[at:begin], "big")
    if begin > len(message) or end > len(message):
        raise MalformedAnswerError("the message is cut short")
    try:
        return message[begin:end].decode(), end
    except UnicodeDecodeError:
        raise MalformedAnswerError("not UTF-8") from None
