"""`gateway receipt show|verify FILE`: receipts of uploads, read and proven without any server."""

from pathlib import Path
from typing import Annotated

import typer

from gateway.cli.connected import ProfileOption, load
from gateway.cli.output import USAGE, CommandError, JsonOption, LangOption, Output
from gateway.cli.tables import table
from gateway.client import delimited, verify
from gateway.client.checkpoints import Checkpoints, LogError
from gateway.client.profile import DEFAULT_NAME
from gateway.clock import iso
from gateway.tlog import leaf, proof
from gateway.v1.upload_service_pb2 import BatchReceipt

File = Annotated[Path, typer.Argument(metavar="FILE", help="receipt.file", exists=True)]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    noun = typer.Typer(help="receipt.help", no_args_is_help=True)
    noun.command("show", help="receipt.show.help")(show)
    noun.command("verify", help="receipt.verify.help")(verify_file)
    app.add_typer(noun, name="receipt")


def show(file: File, json: JsonOption = False, lang: LangOption = "") -> None:
    """Show what a file of receipts says; nothing is proven."""
    output = Output.of(json, lang)
    told = [_told(receipt) for receipt in _receipts(file)]
    columns = ("request_id", "sequence", "records", "index", "time")
    headers = [output.text(f"receipt.{name}") for name in columns]
    rows = [[each[name] for name in columns] for each in told]
    output.result({"receipts": told}, table(headers, rows))


def verify_file(
    file: File,
    profile: ProfileOption = DEFAULT_NAME,
    json: JsonOption = False,
    lang: LangOption = "",
) -> None:
    """Prove every receipt of a file with the profile's log key: leaf, inclusion, signature."""
    output, found = Output.of(json, lang), load(profile)
    organisation = found.remote.organisation
    count = records = last = 0
    try:
        checkpoints = Checkpoints(found)
        for receipt in _receipts(file):
            evidence = verify.inspect(receipt, organisation, checkpoints)
            count, records = count + 1, records + len(receipt.items)
            last = max(last, evidence.size)
    except LogError as error:
        place = output.text("receipt.broken", file=file, number=count + 1, why=error)
        raise CommandError(error.code, place) from error
    document: dict[str, object] = {
        "verified": count,
        "records": records,
        "organisation": organisation,
        "log_size": last,
    }
    output.result(document, output.text("receipt.verified", **document))


def _receipts(file: Path) -> list[BatchReceipt]:
    try:
        return list(delimited.read(file))
    except delimited.DelimitedError as error:
        raise CommandError("RECEIPTS_INVALID", str(error), status=USAGE) from error


def _told(receipt: BatchReceipt) -> dict[str, object]:
    try:
        entry = leaf.parse(receipt.leaf)
        index = proof.parse(receipt.proof).index
    except (leaf.LeafError, proof.ProofFormError) as error:
        raise CommandError("RECEIPTS_INVALID", str(error), status=USAGE) from error
    time_us = entry.get("time_us")
    return {
        "request_id": receipt.request_id,
        "sequence": receipt.sequence,
        "records": len(receipt.items),
        "index": index,
        "time": iso(time_us) if isinstance(time_us, int) else "",
        "leaf": entry,
    }
