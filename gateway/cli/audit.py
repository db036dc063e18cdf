"""`gateway audit search|tail|show|export|verify`: what happened, provably.

search, tail and show ask a running gateway, as an auditor; export runs on the gateway's own host;
verify needs nothing but files.
"""

import asyncio
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from gateway.cli import (
    audit_compare,
    audit_folder,
    audit_mirror,
    audit_parts,
    audit_verify,
    audit_witness,
    visible,
)
from gateway.cli.connected import PasswordFile, ProfileOption, connected, load, password_of
from gateway.cli.output import CommandError, JsonOption, LangOption, Output
from gateway.cli.tables import table
from gateway.client.checkpoints import Checkpoints, LogError
from gateway.client.client import Client
from gateway.client.profile import DEFAULT_NAME
from gateway.clock import SHANGHAI, from_datetime, iso
from gateway.tlog import leaf, note, proof
from gateway.tlog.merkle import MerkleError
from gateway.v1 import audit_service_pb2 as v1

Since = Annotated[str, typer.Option("--since", help="audit.since", metavar="TIME")]
Until = Annotated[str, typer.Option("--until", help="audit.until", metavar="TIME")]
Organisation = Annotated[str, typer.Option("--organisation", help="audit.organisation")]
Kind = Annotated[str, typer.Option("--kind", help="audit.kind")]
Decision = Annotated[str, typer.Option("--decision", help="audit.decision")]
Reason = Annotated[str, typer.Option("--reason", help="audit.reason")]
RequestId = Annotated[str, typer.Option("--request-id", help="audit.request-id")]
Child = Annotated[bool, typer.Option("--child", help="audit.child")]
ChildFile = Annotated[
    Path | None, typer.Option("--child-file", help="audit.child-file", exists=True, dir_okay=False)
]
Weak = Annotated[bool, typer.Option("--weak", help="audit.weak-only")]
Limit = Annotated[int, typer.Option("--limit", help="audit.limit", min=1, max=100_000)]
Follow = Annotated[bool, typer.Option("--follow", "-f", help="audit.follow")]
Index = Annotated[int, typer.Argument(metavar="INDEX", help="audit.index", min=0)]

_PAGE = 1000
_TAIL = 20
# Often enough to watch by eye; every look is a leaf of its own.
FOLLOW_S = 2.0
_COLUMNS = (
    *("index", "time", "decision", "kind", "organisation", "actor", "strength", "reason"),
    "request_id",
)
Leaf = dict[str, object]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    noun = typer.Typer(help="audit.help", no_args_is_help=True)
    noun.command("search", help="audit.search.help")(search)
    noun.command("tail", help="audit.tail.help")(tail)
    noun.command("show", help="audit.show.help")(show)
    noun.command("part", help="audit.part.help")(audit_parts.part)
    noun.command("shred", help="audit.shred.help")(audit_parts.shred)
    noun.command("forget-quarter", help="audit.forget-quarter.help")(audit_parts.forget_quarter)
    noun.command("export", help="audit.export.help")(audit_folder.export)
    noun.command("mirror", help="audit.mirror.help")(audit_mirror.mirror)
    noun.command("verify", help="audit.verify.help")(audit_verify.verify)
    noun.command("compare", help="audit.compare.help")(audit_compare.compare)
    noun.command("contradiction", help="audit.contradiction.help")(audit_compare.contradiction)
    noun.command("witness", help="audit.witness.help")(audit_witness.witness)
    noun.command("witness-add", help="audit.witness-add.help")(audit_witness.witness_add)
    noun.command("witness-end", help="audit.witness-end.help")(audit_witness.witness_end)
    app.add_typer(noun, name="audit")


def search(  # noqa: PLR0913, PLR0917  one option per filter
    since: Since = "",
    until: Until = "",
    organisation: Organisation = "",
    kind: Kind = "",
    decision: Decision = "",
    reason: Reason = "",
    request_id: RequestId = "",
    child: Child = False,
    child_file: ChildFile = None,
    weak: Weak = False,
    limit: Limit = 100,
    profile: ProfileOption = DEFAULT_NAME,
    password_file: PasswordFile = None,
    json: JsonOption = False,
    lang: LangOption = "",
) -> None:
    """Find leaves by closed filters, newest first."""
    output, found = Output.of(json, lang), load(profile)
    query = v1.SearchLeavesRequest(
        organisation_code=organisation,
        kind=kind,
        decision=decision,
        reason=reason,
        request_id=request_id,
    )
    if since:
        query.from_time.FromMicroseconds(_moment(since, "--since"))
    if until:
        query.until_time.FromMicroseconds(_moment(until, "--until"))
    if child or child_file is not None:
        query.child_code = audit_parts.child_code(output, child_file)
    password, without = password_of(output, found, password_file), (set[str](), set[str]())

    async def work(client: Client) -> list[v1.Leaf]:
        return await _newest(client, query, limit, weak=weak, without=without)

    told = [_listed(each) for each in connected(output, found, work, password=password)]
    human = _drawn(output, told) + audit_parts.missing(output, *without)
    output.result({"leaves": told, **audit_parts.quarters(*without)}, human)


def tail(
    count: Annotated[int, typer.Option("--lines", "-n", min=1, max=_PAGE)] = _TAIL,
    follow: Follow = False,
    profile: ProfileOption = DEFAULT_NAME,
    password_file: PasswordFile = None,
    json: JsonOption = False,
    lang: LangOption = "",
) -> None:
    """Show the newest leaves, oldest of them first; with --follow also those that come."""
    output, found = Output.of(json, lang), load(profile)
    if follow and json:
        raise typer.BadParameter("--json", param_hint="--follow")
    password = password_of(output, found, password_file)
    watch = _Watch(output, own=found.remote.account)

    async def work(client: Client) -> None:
        await watch.look(client, count)
        if follow:
            output.result({}, "\n".join(map(_line, watch.seen)))
        while follow:
            await asyncio.sleep(FOLLOW_S)
            await watch.look(client, _PAGE)

    try:
        connected(output, found, work, password=password)
    except KeyboardInterrupt:
        return
    if not follow:
        output.result({"leaves": watch.seen}, _drawn(output, watch.seen))


def show(
    index: Index,
    profile: ProfileOption = DEFAULT_NAME,
    password_file: PasswordFile = None,
    json: JsonOption = False,
    lang: LangOption = "",
) -> None:
    """Show one leaf and prove with the profile's key that it is on the log."""
    output, found = Output.of(json, lang), load(profile)

    async def work(client: Client) -> v1.GetLeafResponse:
        return await client.call(client.audit.GetLeaf, v1.GetLeafRequest(index=index))

    password = password_of(output, found, password_file)
    answer = connected(output, found, work, password=password)
    try:
        # `work` followed whichever keys the log has by now: they stand in the profile.
        keys = Checkpoints(found).keys
        given = proof.parse(answer.proof)
        size = given.verify(answer.leaf.leaf, keys).size
        told = _told(answer.leaf)
    except (LogError, proof.ProofFormError, note.NoteError, MerkleError, leaf.LeafError) as error:
        raise CommandError(error.code, output.text("audit.unproven", why=error)) from error
    if not given.index == answer.leaf.index == index:
        raise CommandError("PROOF_FORM", output.text("audit.unproven", why="index"))
    document = {**told, "proven_size": size, "proof": answer.proof}
    lines = [f"{visible.value(name)}: {visible.value(str(said))}" for name, said in told.items()]
    output.result(document, "\n".join([*lines, output.text("audit.proven", size=size)]))


@dataclass(slots=True)
class _Watch:
    """What `tail` has seen; prints what is new, but not its own looking."""

    output: Output
    own: str
    seen: list[Leaf] = field(default_factory=list)
    last: int = -1

    async def look(self, client: Client, count: int) -> None:
        """Take up to `count` leaves that are new."""
        fresh = await _newest(client, v1.SearchLeavesRequest(), count, after=self.last)
        told = [_listed(each) for each in reversed(fresh)]
        if self.last >= 0:
            for each in told:
                if (each.get("kind"), each.get("account")) != ("audit.search", self.own):
                    self.output.result(each, _line(each))
        else:
            self.seen = told
        if fresh:
            self.last = fresh[0].index


async def _newest(
    client: Client,
    query: v1.SearchLeavesRequest,
    limit: int,
    *,
    after: int = -1,
    weak: bool = False,
    without: tuple[set[str], set[str]] | None = None,
) -> list[v1.Leaf]:
    """Return up to `limit` leaves above index `after`, newest first; `weak`: only such.

    `without` takes the quarters whose leaves about a child are not found: forgotten, unknown.
    """
    leaves: list[v1.Leaf] = []
    while len(leaves) < limit:
        query.page_size = _PAGE if weak else min(_PAGE, limit - len(leaves))
        answer = await client.call(client.audit.SearchLeaves, query)
        if without is not None:
            without[0].update(answer.forgotten_quarters)
            without[1].update(answer.unknown_quarters)
        fresh = [each for each in answer.leaves if each.index > after]
        leaves += [each for each in fresh if not weak or _is_weak(_listed(each))]
        if not answer.next_page_token or len(answer.leaves) == 0:
            break
        if answer.leaves[-1].index <= after:
            break
        query.page_token = answer.next_page_token
    return leaves[:limit]


def _moment(text: str, option: str) -> int:
    """Return the microseconds of an ISO date or time; the province's civil time unless it says."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise typer.BadParameter(text, param_hint=option) from error
    return from_datetime(moment if moment.tzinfo else moment.replace(tzinfo=SHANGHAI))


def _told(entry: v1.Leaf) -> Leaf:
    """Return what a leaf says, with its index and readable time first; raises LeafError."""
    said = leaf.parse(entry.leaf)
    time_us = said.get("time_us")
    when = iso(time_us) if isinstance(time_us, int) else ""
    return {"index": entry.index, "time": when, **said}


def _listed(entry: v1.Leaf) -> Leaf:
    """Return the same in a list, where one that is no leaf hides none of the others."""
    try:
        return _told(entry)
    except leaf.LeafError as error:
        return {"index": entry.index, "time": "", "reason": error.code}


def _is_weak(told: Leaf) -> bool:
    """Whether an address was believed, for want of a tunnel that proves it (decision 0003)."""
    return told.get("strength") == "weak"


def _cell(told: Leaf, column: str) -> str:
    if column == "actor":
        return str(told.get("account") or told.get("subject") or "")
    return str(told.get(column, ""))


def _line(told: Leaf) -> str:
    cells = (visible.value(_cell(told, column)) for column in _COLUMNS)
    return "  ".join(filter(None, cells))


def _drawn(output: Output, leaves: list[Leaf]) -> str:
    headers = [output.text(f"audit.column.{name}") for name in _COLUMNS]
    drawn = table(headers, [[_cell(each, column) for column in _COLUMNS] for each in leaves])
    weak = sum(map(_is_weak, leaves))
    return f"{drawn}\n\n{output.text('audit.weak', count=weak)}" if weak else drawn
