"""`gateway backup advise`: what another server offers to backups, and what it lacks, line by line.

It asks the server now, with the passwords of HOME, and changes nothing. HOME need not be served.
"""

from pathlib import Path

import typer

from gateway.backups import forms
from gateway.cli.backup_files import HomeArgument
from gateway.cli.output import REFUSED, CommandError, JsonOption, LangOption, Output
from gateway.config import settings
from gateway.config.backups import FILE, load_backup_rules
from gateway.config.confinement import check_runner
from gateway.config.home import Home
from gateway.store import external
from gateway.store.external import SLOT, Offer, Offers

# Journal that nobody takes any more: what drops it there.
LEFT = Offer("slot-left", False, False, (f"SELECT pg_drop_replication_slot('{SLOT}');",))
_SIGNS = {"good": "+", "advised": "!", "lacking": "-"}


def add(noun: typer.Typer) -> None:
    """Add the command below `backup`."""
    noun.command("advise", help="backup.advise.help")(advise)


def advise(home: HomeArgument, json: JsonOption = False, lang: LangOption = "") -> None:
    """Tell what the server of HOME's database offers, and what its operator has to set up."""
    output, place = Output.of(json, lang), _own(home)
    own = settings.load(place.settings)
    if not own.dsn:
        output.result({"form": "base", "offers": []}, output.text("backup.advise.own"))
        return
    found = external.offers(place, own)
    rules = load_backup_rules(place.policies / FILE)
    idle = found.slot and (not found.physical or forms.idle(rules, found))
    lines = [_line(output, one) for one in (*found.each, *((LEFT,) if idle else ()))]
    form = _form(found)
    told = output.text(f"backup.advise.{form}", version=found.version)
    offers = [
        {"offer": one.name, "state": _state(one), "needed": one.needed, "fix": list(one.fix)}
        for one in found.each
    ]
    document: dict[str, object] = {
        "form": form,
        "version": found.version,
        "timeline": found.timeline,
        "slot_left": list(LEFT.fix) if idle else [],
        "offers": offers,
    }
    output.result(document, "\n".join([*lines, told]))
    if not found.logical:
        raise typer.Exit(REFUSED)


def _own(home: Path) -> Home:
    place = Home(home.resolve())
    if not place.settings.is_file():
        raise CommandError("HOME_UNKNOWN", f"{place.root} is no HOME")
    check_runner(place)
    return place


def _form(found: Offers) -> str:
    if found.physical:
        return "base"
    return "dump" if found.logical else "none"


def _state(one: Offer) -> str:
    if one.good:
        return "good"
    return "lacking" if one.needed else "advised"


def _line(output: Output, one: Offer) -> str:
    state = _state(one)
    text = output.text(f"backup.offer.{one.name}-{'good' if one.good else 'bad'}")
    fixes = () if one.good else one.fix
    return "\n".join([f"{_SIGNS[state]} {text}", *(f"      {line}" for line in fixes)])
