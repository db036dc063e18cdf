"""`gateway backup list`: the backups of places, as a table or --json."""

from pathlib import Path
from typing import Annotated

import typer

from gateway.backups import listing
from gateway.backups.listing import Listed
from gateway.cli.backup_bar import ByteBar
from gateway.cli.backup_files import HomeOption, KeyOption, described, trusted
from gateway.cli.output import USAGE, CommandError, JsonOption, LangOption, Output
from gateway.cli.standing import HOUR_US
from gateway.cli.tables import table
from gateway.clock import SYSTEM, iso
from gateway.config.backups import FILE, load_backup_rules
from gateway.config.home import Home

Places = Annotated[
    list[Path] | None,
    typer.Argument(metavar="PLACE…", help="backup.list.places", exists=True, file_okay=False),
]
Whole = Annotated[bool, typer.Option("--check", help="backup.list.check")]
_COLUMNS = ("made", "age", "form", "mib", "places", "journal", "state", "folder")
_MIB = 1024 * 1024


def add(noun: typer.Typer) -> None:
    """Add the command below `backup`."""
    noun.command("list", help="backup.list.help")(list_some)


def list_some(
    places: Places = None,
    home: HomeOption = None,
    key: KeyOption = None,
    check: Whole = False,
    json: JsonOption = False,
    lang: LangOption = "",
) -> None:
    """Show backups, newest first: whose signature is good, where they lie, how far each leads."""
    output, keys = Output.of(json, lang), trusted(home, key)
    where = places or (load_backup_rules(Home(home).policies / FILE).places.paths if home else ())
    if not where:
        text = output.text("backup.code.BACKUP_NO_PLACE")
        raise CommandError("BACKUP_NO_PLACE", text, status=USAGE)
    with ByteBar(output, "backup.checking") as bar:
        found = listing.look(where, keys, whole=check, tell=bar.update)
    state, now_us = "verified" if check else "signed", SYSTEM.now_us()
    documents = [_document(one, state, now_us) for one in found]
    output.result({"backups": documents}, _human(output, documents))


def _document(one: Listed, state: str, now_us: int) -> dict[str, object]:
    wrong = [copy.refused for copy in one.copies if copy.refused]
    copies = [{"folder": str(c.folder), "state": c.refused or state} for c in one.copies]
    told: dict[str, object] = {"folder": str(one.copies[0].folder), "copies": copies}
    told |= {"places": len(one.good), "state": wrong[0] if wrong else state}
    if wrong:
        told["refused"] = wrong[0]
    if one.found is None:
        return told
    said = one.found.manifest
    return told | {
        **described(one.copies[0].folder, said),
        "sha256": one.found.sha256,
        "leaf": one.found.leaf,
        "age_hours": max(0, now_us - said.made_us) // HOUR_US,
        "journal_until": one.reach_us and iso(one.reach_us),
        "journal_refused": one.journal,
    }


def _human(output: Output, documents: list[dict[str, object]]) -> str:
    if not documents:
        return output.text("backup.none")
    headers = [output.text(f"backup.column.{name}") for name in _COLUMNS]
    return table(headers, [_row(output, one) for one in documents])


def _row(output: Output, told: dict[str, object]) -> list[object]:
    """Return the cells; of a part of the places that is not good, how many are."""
    copies = told["copies"]
    count = len(copies) if isinstance(copies, list) else 0
    state = str(told["state"])
    cells: dict[str, object] = {
        "places": f"{told['places']}/{count}",
        "state": state if "refused" in told else output.text(f"backup.{state}"),
        "folder": told["folder"],
    }
    if "form" in told:
        size = told["bytes"]
        cells |= {
            "made": told["made"],
            "age": f"{told['age_hours']} h",
            "form": output.text(f"backup.form.{told['form']}"),
            "mib": f"{size / _MIB:.1f}" if isinstance(size, int) else "",
            "journal": told["journal_refused"] or told["journal_until"] or "–",
        }
    return [cells.get(name, "") for name in _COLUMNS]
