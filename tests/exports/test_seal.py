"""The MAC of a ticket is that of all it says, by one key alone."""

import asyncio
import hashlib
import hmac
from dataclasses import replace

from gateway.exports.marks import Marks
from gateway.exports.seal import TicketSeal
from tests.exports.tickets import SEAL, WAY, along


def test_it_is_an_hmac_of_the_canonical_bytes_under_a_name_of_its_own() -> None:
    ticket = along(3)
    expected = hmac.new(b"\x07" * 32, b"sxgw-ticket-v1\n" + ticket.canonical, hashlib.sha256)
    assert SEAL.of(ticket) == expected.hexdigest()


def test_it_fits_its_ticket_and_no_other() -> None:
    tickets = [along(number) for number in range(len(WAY) + 1)]
    macs = [SEAL.of(one) for one in tickets]
    for at, ticket in enumerate(tickets):
        assert [SEAL.fits(ticket, mac) for mac in macs] == [at == n for n in range(len(macs))]
    assert not SEAL.fits(replace(tickets[0], held=True), macs[0])


def test_what_had_come_further_is_not_proven_by_its_own_mac(tmp_path) -> None:
    """A row and a leaf of before fit each other; the mark is above both."""

    async def work() -> None:
        marks = Marks(tmp_path)
        seal, ticket = TicketSeal(b"\x08" * 32, marks), along(3)
        mac = seal.of(ticket)
        await marks.keep(ticket.ticket_id, ticket.version)
        assert seal.proves(ticket, mac)
        await marks.keep(ticket.ticket_id, ticket.version + 1)
        assert seal.fits(ticket, mac)
        assert not seal.proves(ticket, mac)

    asyncio.run(work())


def test_nothing_and_another_key_prove_nothing() -> None:
    ticket, other = along(3), TicketSeal(b"\x08" * 32, SEAL.marks)
    for mac in (None, "", other.of(ticket), hashlib.sha256(ticket.canonical).hexdigest()):
        assert not SEAL.fits(ticket, mac)
    assert not hasattr(SEAL, "key")
    assert "\\x07" not in repr(SEAL)
