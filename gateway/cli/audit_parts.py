"""`gateway audit part|shred|forget-quarter`: personal data beside the log is read, and destroyed.

`part` asks a running gateway, as an auditor. The other two run on the gateway's own host as its
owner, each with a leaf: no door has the right to destroy.
"""

from pathlib import Path
from typing import Annotated

import typer

from gateway.audit import parts
from gateway.audit.event import Event
from gateway.audit.subjects import FORGET_KIND
from gateway.cli import host, visible
from gateway.cli.connected import (
    PasswordFile,
    ProfileOption,
    connected,
    load,
    password_of,
    prompt,
    read_secret,
)
from gateway.cli.output import USAGE, CommandError, JsonOption, LangOption, Output
from gateway.client.client import Client
from gateway.client.profile import DEFAULT_NAME
from gateway.clock import SYSTEM
from gateway.errors import Reason, Refusal, refuse
from gateway.identity import secret_rows
from gateway.store import tag_keys
from gateway.store.database import Transaction
from gateway.store.tag_keys import TagKeyError
from gateway.tlog import leaf
from gateway.tlog.side_parts import SHRED_KIND
from gateway.v1 import audit_service_pb2 as v1

HomeArgument = Annotated[Path, typer.Argument(metavar="HOME", help="cli.home", exists=True)]
Index = Annotated[int, typer.Argument(metavar="INDEX", help="audit.index", min=0)]
Quarter = Annotated[str, typer.Argument(metavar="QUARTER", help="audit.quarter")]
_LEAF = "SELECT leaf FROM gateway.audit_entry WHERE idx = %s"
# Only this role may, and the log believes no other (0041_side_parts.sql).
_ROLE = "owner"


def part(
    index: Index,
    profile: ProfileOption = DEFAULT_NAME,
    password_file: PasswordFile = None,
    json: JsonOption = False,
    lang: LangOption = "",
) -> None:
    """Show what was typed as the reason of an act."""
    output, found = Output.of(json, lang), load(profile)

    async def work(client: Client) -> v1.GetSealedPartResponse:
        return await client.call(client.audit.GetSealedPart, v1.GetSealedPartRequest(index=index))

    password = password_of(output, found, password_file)
    answer = connected(output, found, work, password=password)
    output.result({"index": index, "text": answer.text}, visible.value(answer.text))


def shred(
    home: HomeArgument, index: Index, json: JsonOption = False, lang: LangOption = ""
) -> None:
    """Destroy the side part of a leaf, key and all."""
    output, place = Output.of(json, lang), host.place(home)
    event = Event(kind=SHRED_KIND, door="host", detail={"part_index": index})

    async def effect(tx: Transaction) -> Event:
        row = await tx.fetch_one(_LEAF, (index,))
        named = None if row is None else leaf.parse(bytes(row[0])).get("sealed")
        if not isinstance(named, str) or not await parts.shred(tx, bytes.fromhex(named)):
            raise refuse(Reason.NOT_FOUND)
        return event.with_(detail={"part_index": index, "part_sha256": named})

    try:
        entry = host.act(place, event, effect, _ROLE)
    except Refusal as refusal:
        if refusal.reason is not Reason.NOT_FOUND:
            raise
        text = output.text("audit.no-part", index=index)
        raise CommandError(Reason.NOT_FOUND, text) from None
    told: dict[str, object] = {"index": index, "leaf": entry.index}
    output.result(told, output.text("audit.shredded", index=index, by=entry.index))


def forget_quarter(
    home: HomeArgument, quarter: Quarter, json: JsonOption = False, lang: LangOption = ""
) -> None:
    """Destroy the key of a past quarter's subject tags; the leaf comes first."""
    output, place = Output.of(json, lang), host.place(home)
    now_us = SYSTEM.now_us()
    try:
        tag_keys.check_over(place, quarter, now_us)
    except TagKeyError as error:
        text = output.text("audit.quarter-invalid", quarter=quarter)
        raise CommandError("QUARTER_INVALID", text, status=USAGE) from error
    event = Event(kind=FORGET_KIND, door="host", detail={"quarter": quarter})

    async def effect(tx: Transaction) -> Event:
        for one in await secret_rows.in_force(tx):
            if (one.secret.kind, one.secret.name) == ("subject-tag-key", quarter):
                await secret_rows.turn(tx, one.secret, "ended", now_us)
        return event

    entry = host.act(place, event, effect, _ROLE)
    tag_keys.forget(place, quarter, now_us)
    told: dict[str, object] = {"quarter": quarter, "leaf": entry.index}
    output.result(told, output.text("audit.forgotten", quarter=quarter, by=entry.index))


def child_code(output: Output, file: Path | None) -> str:
    """Return a child's code, from a file or a prompt: never from the command line."""
    return (prompt(output, "audit.child.ask") if file is None else read_secret(file)).value


def missing(output: Output, forgotten: set[str], unknown: set[str]) -> str:
    """Return what is said of quarters in which nothing about a child is found."""
    parts = [("audit.child.forgotten", forgotten), ("audit.child.unknown", unknown)]
    return "".join(
        f"\n\n{output.text(msgid, quarters=', '.join(sorted(quarters)))}"
        for msgid, quarters in parts
        if quarters
    )


def quarters(forgotten: set[str], unknown: set[str]) -> dict[str, object]:
    """Return the same for machines."""
    return {"forgotten_quarters": sorted(forgotten), "unknown_quarters": sorted(unknown)}
