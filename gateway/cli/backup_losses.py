"""`gateway backup losses HOME`: what restores lost, as far as cities proved it, and what came back.

The records are named by their ids where these are not personal. That somebody looked is a leaf.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import typer
from google.protobuf.message import DecodeError

from gateway.audit.event import Event
from gateway.backups import losses
from gateway.backups.losses import LostBatch
from gateway.cli import host
from gateway.cli.backup_files import HomeArgument
from gateway.cli.output import CommandError, JsonOption, LangOption, Output
from gateway.cli.tables import table
from gateway.clock import iso
from gateway.config import log_keys
from gateway.config.home import Home
from gateway.errors import Refusal
from gateway.store.database import Row, Transaction
from gateway.tlog import restored
from gateway.tlog.keys import LogKeys
from gateway.tlog.note import parse_vkey
from gateway.tlog.restored import Restored
from gateway.uploads.lost import Restores
from gateway.v1.upload_service_pb2 import BatchReceipt

Number = Annotated[int | None, typer.Option("--restore", help="backup.losses.restore", min=1)]
# The database has other rows than the log tells of, or than their receipts prove.
CHANGED_ALERT = "losses-changed"
_SUMS = ("organisation", "batches", "records", "recovered", "missing")
# Receipts of a full batch have some ten kilobytes each.
_CHUNK = 100
_ROWS = """
SELECT organisation, request_id::text, receipt, encode(statement, 'hex'), restored_us, unit_code,
       sequence, leaf_index, received_us, records, unnamed
  FROM gateway.lost_batch WHERE (organisation, request_id::text) > (%s, %s)
 ORDER BY organisation, request_id::text LIMIT %s
"""
_BATCHES = ("unit", "sequence", "received", "records", "missing")


@dataclass(frozen=True, slots=True)
class Restore:
    """A restore of this gateway: its number, what it said, and what is proven lost by it."""

    number: int
    said: Restored
    batches: Sequence[LostBatch]

    def document(self) -> dict[str, object]:
        """Return it as --json prints it."""
        return {
            "restore": self.number,
            "restored": iso(self.said.restored_us),
            "kept": self.said.size,
            "cause": self.said.cause,
            "manifest_sha256": self.said.manifest_sha256,
            "organisations": [self._sums(one) for one in self._organisations()],
            "batches": [_document(one) for one in self.batches],
        }

    def human(self, output: Output) -> str:
        """Return the same for people: sums, and the batches of which something is missing."""
        about = {"number": self.number, "kept": self.said.size, "cause": self.said.cause}
        parts = [output.text("backup.losses.of", restored=iso(self.said.restored_us), **about)]
        sums = [self._sums(one) for one in self._organisations()]
        parts.append(_table(output, _SUMS, sums) if sums else output.text("backup.losses.none"))
        missing = [_document(one) for one in self.batches if one.still]
        rows = [{**one, "missing": one["missing_count"]} for one in missing]
        return "\n\n".join([*parts, _table(output, _BATCHES, rows)] if rows else parts)

    def _organisations(self) -> list[str]:
        return sorted({one.organisation for one in self.batches})

    def _sums(self, organisation: str) -> dict[str, object]:
        own = [one for one in self.batches if one.organisation == organisation]
        records, missing = sum(one.records for one in own), sum(one.still for one in own)
        return {
            "organisation": organisation,
            "batches": len(own),
            "records": records,
            "recovered": records - missing,
            "missing": missing,
        }


def add(noun: typer.Typer) -> None:
    """Add the command below `backup`."""
    noun.command("losses", help="backup.losses.help")(list_losses)


def list_losses(
    home: HomeArgument, restore: Number = None, json: JsonOption = False, lang: LangOption = ""
) -> None:
    """List what restores lost and what of it came back."""
    output, place = Output.of(json, lang), host.place(home)
    said = statements(place)
    if restore is not None and restore not in said:
        raise CommandError("NOT_FOUND", output.text("backup.losses.unknown", number=restore))
    batches = asyncio.run(_read(output, place))
    chosen = said if restore is None else {restore: said[restore]}
    found = [
        Restore(number, one, [each for each in batches if each.restored_us == one.restored_us])
        for number, one in sorted(chosen.items())
    ]
    human = "\n\n".join(one.human(output) for one in found) or output.text("backup.losses.never")
    output.result({"restores": [one.document() for one in found]}, human)


def statements(place: Home) -> dict[int, Restored]:
    """Return what the log says of each time it was put back, by number."""
    key = parse_vkey(place.log_key.read_text(encoding="utf-8").strip())
    keys = LogKeys.of(key, log_keys.read(place.log_keys))
    files = log_keys.files(place.restores)
    return {
        int(path.name): restored.read(raw, keys)
        for path, raw in zip(files, log_keys.read(place.restores), strict=True)
    }


async def _read(output: Output, place: Home) -> list[LostBatch]:
    """Return all that is proven lost, the look at it recorded; raises CommandError."""
    found: list[LostBatch] = []
    event, numbers = Event(kind=losses.KIND, door="host"), [0, 0]

    async def look(tx: Transaction) -> Event:
        found[:] = await losses.read(tx)
        numbers[:] = await losses.told(tx), await _proven(tx, Restores.of(place))
        counts = {"batches": len(found), "missing": sum(one.still for one in found)}
        if numbers == [len(found)] * 2:
            return event.with_(counts=counts)
        return event.with_(counts=counts, decision="error", detail={"alert": CHANGED_ALERT})

    async with host.opened(place, "owner") as (_, recorder):
        await recorder.append(event, look)
    if numbers != [len(found)] * 2:
        about = {"told": numbers[0], "found": len(found), "proven": numbers[1]}
        raise CommandError("LOSSES_CHANGED", output.text("backup.losses.changed", **about))
    return found


async def _proven(tx: Transaction, restores: Restores) -> int:
    """Return how many rows say what their receipts prove, each judged anew."""
    proven, last = 0, ("", "")
    while rows := await tx.fetch(_ROWS, [*last, _CHUNK]):
        proven += sum(_says(restores, row) for row in rows)
        last = (rows[-1][0], rows[-1][1])
    return proven


def _says(restores: Restores, row: Row) -> bool:
    organisation, request_id, receipt, *columns = row
    try:
        one = restores.judge(BatchReceipt.FromString(receipt), organisation)
    except (Refusal, DecodeError):
        return False
    place = [one.unit_code, one.sequence, one.index, one.received_us]
    cut = [one.cut.statement, one.cut.restored_us]
    said = [str(one.request_id), *cut, *place, list(one.records), one.unnamed]
    return [request_id, *columns] == said


def _document(one: LostBatch) -> dict[str, object]:
    return {
        "organisation": one.organisation,
        "request_id": one.request_id,
        "unit": one.unit_code,
        "sequence": one.sequence,
        "log_index": one.leaf_index,
        "received": iso(one.received_us),
        "records": one.records,
        "missing_count": one.still,
        "missing": list(one.missing),
        "missing_unnamed": one.unnamed,
    }


def _table(output: Output, columns: Sequence[str], rows: Sequence[dict[str, object]]) -> str:
    headers = [output.text(f"backup.losses.{name}") for name in columns]
    return table(headers, [[one[name] for name in columns] for one in rows])
