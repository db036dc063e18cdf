"""`gateway policy simulate` and `propose`: what another bundle would change, and its proposal.

On the gateway's host. Nothing is in force before two security officers signed (`policy approve`).
"""

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Annotated

import typer

from gateway.audit.event import Event
from gateway.cli import host
from gateway.cli.audit_folder import Bar
from gateway.cli.output import CommandError, JsonOption, LangOption, Output
from gateway.cli.policy_folder import INVALID, cedar_of, whole
from gateway.clock import SYSTEM, iso
from gateway.config import settings
from gateway.config.activation import load_activation_rules
from gateway.config.home import Home
from gateway.config.settings import Settings
from gateway.exports.facts import Around
from gateway.exports.replaying import Past
from gateway.pki.issuers import Issuers
from gateway.policy import bundle, cases, evidence, history, mutation, proposing
from gateway.policy.bundle import BundleError
from gateway.policy.history import Simulated
from gateway.policy.proposing import Proposal
from gateway.policy.trust import Trust
from gateway.records.tables import Tables
from gateway.registry import snapshot
from gateway.store import roles
from gateway.store.database import Database, Transaction
from gateway.vpn.static import named_tunnels

UNGUARDED = "POLICY_UNGUARDED"
KIND = evidence.PROPOSE
# The log's decisions were read again.
LOOK = "policies.simulate"
HomeArgument = Annotated[Path, typer.Argument(metavar="HOME", help="cli.home", exists=True)]
NewArgument = Annotated[Path, typer.Argument(metavar="NEW", help="policy.new", exists=True)]


def add(noun: typer.Typer) -> None:
    """Add the commands below `policy`."""
    noun.command("simulate", help="policy.simulate.help")(simulate)
    noun.command("propose", help="policy.propose.help")(propose)


def simulate(
    home: HomeArgument, new: NewArgument, json: JsonOption = False, lang: LangOption = ""
) -> None:
    """Ask the log's decisions again, of a changed bundle."""
    output, place = Output.of(json, lang), host.place(home)
    found = _simulated(output, place, cedar_of(new))
    asked = Event(kind=LOOK, door="host", counts={"calls": found.change.replayed})

    async def effect(_: Transaction) -> Event:
        return asked

    host.act(place, asked, effect)
    output.result(_document(found), _text(output, found))


def propose(
    home: HomeArgument, new: NewArgument, json: JsonOption = False, lang: LangOption = ""
) -> None:
    """Check a changed bundle in every way there is, and enter it for signatures."""
    output, place, cedar = Output.of(json, lang), host.place(home), cedar_of(new)
    _require_guarded(output, cedar)
    found = _simulated(output, place, cedar)
    files, proposals = bundle.files(cedar), list[Proposal]()
    trust = _trust(place)
    rules = load_activation_rules(place.policies / "activation.toml")

    async def effect(tx: Transaction) -> Event:
        one = await proposing.propose(tx, trust, files, found.change, SYSTEM.now_us())
        proposals.append(one)
        detail = evidence.proposed(one.number, one.bundle.sha256, one.wait(rules))
        return Event(kind=KIND, door="host", detail=detail)

    entry = host.act(place, Event(kind=KIND, door="host"), effect)
    [*_, made] = proposals
    told = {
        "sha256": made.bundle.sha256,
        "number": made.number,
        "open_time": iso(made.opens_us(rules)),
    }
    document = {**_document(found), **told, "leaf": entry.index}
    output.result(document, f"{_text(output, found)}\n\n{output.text('policy.proposed', **told)}")


def _require_guarded(output: Output, cedar: Path) -> None:
    """Pass a folder that compiles, whose cases are right and guard every part of it."""
    engine, against = whole(cedar)
    try:
        cases.trusted(cedar)
        explained = mutation.explained(cedar)
    except BundleError as error:
        raise CommandError(INVALID, str(error)) from error
    unnoticed = [
        output.text("policy.survives", policy=one.policy, change=one.change)
        for one in mutation.run(engine, against)
        if not one.killed_by and (one.policy, one.change) not in explained
    ]
    if unnoticed:
        raise CommandError(UNGUARDED, "\n".join(unnoticed))


def _simulated(output: Output, place: Home, cedar: Path) -> Simulated:
    engine, judged = whole(cedar)
    own = settings.load(place.settings)
    weak = own.origin.allow_weak_origin

    async def run() -> Simulated:
        async with AsyncExitStack() as stack:
            log = await _opened(stack, place, own, "administration")
            # Administration has no business with tickets, on the host neither.
            tickets = await _opened(stack, place, own, "disclosure")
            past = Past(tickets, await _around(place, own, tickets), weak=weak)
            with Bar(output, "policy.replaying") as bar:
                asking = (log, _trust(place), engine, judged, past.request)
                return await history.simulate(*asking, weak=weak, tell=bar.update)

    try:
        return asyncio.run(run())
    except BundleError as error:
        raise CommandError(INVALID, str(error)) from error


def _trust(place: Home) -> Trust:
    return Trust.of(place, settings.load(place.settings))


async def _opened(stack: AsyncExitStack, place: Home, own: Settings, role: str) -> Database:
    conninfo = roles.conninfo(place, own, role)
    database = await Database.open(conninfo, application="gateway-host", size=1)
    stack.push_async_callback(database.close)
    return database


async def _around(place: Home, own: Settings, tickets: Database) -> Around:
    """Return what tickets are judged in, as the disclosure door has it."""
    async with tickets.transaction() as tx:
        registry = await snapshot.load(tx)
    divisions = Tables.load(place.policies).divisions
    domain, static = own.trust_domain, named_tunnels(own.origin)
    issuers = (Issuers(place, domain), Issuers(place, domain, former=True))
    return Around(registry, divisions, domain, static, *issuers, None, 0)


def _document(found: Simulated) -> dict[str, object]:
    return {
        "newly_allowed": list(found.change.newly_allowed),
        "newly_denied": list(found.change.newly_denied),
        "replayed": found.change.replayed,
        "not_replayed": dict(found.not_replayed),
    }


def _text(output: Output, found: Simulated) -> str:
    parts = [output.text("policy.replayed", count=found.change.replayed)]
    parts += [
        output.text(f"policy.not-replayed.{why}", count=count)
        for why, count in sorted(found.not_replayed.items())
    ]
    for title in ("newly_allowed", "newly_denied"):
        lines = getattr(found.change, title)
        parts += [output.text(f"policy.{title.replace('_', '-')}", count=len(lines)), *lines]
    return "\n".join(parts)
