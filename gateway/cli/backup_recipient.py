"""`gateway backup recipient new|add|list|remove`: to whom backups are encrypted.

`new` makes a key pair on a machine that is not the gateway: the private key goes into a safe, its
`age1…` line to the gateway. Any age X25519 key serves (`age-keygen`).
"""

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from gateway.audit.event import Event
from gateway.backups import recipients
from gateway.cli import host
from gateway.cli.backup_files import HomeArgument
from gateway.cli.output import JsonOption, LangOption, Output
from gateway.cli.tables import table
from gateway.clock import SYSTEM, iso
from gateway.config.folders import write_private
from gateway.config.home import Home
from gateway.identity.lives import Kept
from gateway.store.database import Transaction

Name = Annotated[str, typer.Argument(metavar="NAME", help="backup.recipient.name")]
Recipient = Annotated[str, typer.Argument(metavar="AGE1", help="backup.recipient.age")]
File = Annotated[Path, typer.Argument(metavar="FILE", help="backup.recipient.file")]
_EVENT = Event(kind=recipients.LEAF_KIND, door="host")
_ROLE = "owner"  # the only one that sees the table


def add(noun: typer.Typer) -> None:
    """Add the commands below `backup`."""
    below = typer.Typer(name="recipient", help="backup.recipient.help", no_args_is_help=True)
    below.command("new", help="backup.recipient.new.help")(new)
    below.command("add", help="backup.recipient.add.help")(add_one)
    below.command("list", help="backup.recipient.list.help")(list_all)
    below.command("remove", help="backup.recipient.remove.help")(remove)
    noun.add_typer(below)


def new(file: File, json: JsonOption = False, lang: LangOption = "") -> None:
    """Write a new private key into a new file and print its recipient."""
    output = Output.of(json, lang)
    key, recipient = recipients.new()
    write_private(file, f"{key}\n".encode("ascii"))
    told: dict[str, object] = {"file": str(file), "recipient": recipient}
    output.result(told, output.text("backup.recipient.made", **told))


def add_one(
    home: HomeArgument,
    name: Name,
    recipient: Recipient,
    json: JsonOption = False,
    lang: LangOption = "",
) -> None:
    """Encrypt to a recipient from the next backup on."""
    output, place = Output.of(json, lang), host.place(home)

    async def effect(tx: Transaction) -> Event:
        return await recipients.add(tx, name, recipient, SYSTEM.now_us())

    entry = host.act(place, _EVENT.with_(detail={"step": recipients.ADD}), effect, _ROLE)
    told: dict[str, object] = {"name": name, "recipient": recipient, "leaf": entry.index}
    output.result(told, output.text("backup.recipient.added", **told))


def list_all(home: HomeArgument, json: JsonOption = False, lang: LangOption = "") -> None:
    """Show the recipients in force."""
    output, place = Output.of(json, lang), host.place(home)
    found = [
        {"name": one.secret.name, "recipient": one.secret.key_id, "since": iso(one.made_us)}
        for one in asyncio.run(_listed(place))
    ]
    headers = [output.text(f"backup.recipient.column.{name}") for name in ("name", "age", "since")]
    human = table(headers, [list(one.values()) for one in found])
    output.result({"recipients": found}, human if found else output.text("backup.recipient.nobody"))


def remove(home: HomeArgument, name: Name, json: JsonOption = False, lang: LangOption = "") -> None:
    """Encrypt to a recipient no more; what was encrypted to it stays open to it."""
    output, place = Output.of(json, lang), host.place(home)

    async def effect(tx: Transaction) -> Event:
        return await recipients.remove(tx, name, SYSTEM.now_us())

    entry = host.act(place, _EVENT.with_(detail={"step": recipients.REMOVE}), effect, _ROLE)
    told: dict[str, object] = {"name": name, "leaf": entry.index}
    output.result(told, output.text("backup.recipient.removed", **told))


async def _listed(place: Home) -> list[Kept]:
    async with host.opened(place, _ROLE) as (database, _), database.transaction() as tx:
        return await recipients.listed(tx)
