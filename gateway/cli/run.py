"""`gateway run`: one process of a gateway, as the supervisor starts it. Hidden: not for people."""

import importlib
import sys
from pathlib import Path
from typing import Annotated

import typer

from gateway import log
from gateway.config.confinement import confine
from gateway.config.home import DOORS, Home

# Imported before the process gives up root: afterwards the code may be out of its reach.
_MODULES: dict[str, str] = {"signer": "gateway.signer", "front": "gateway.front.listener"}
_MODULES |= dict.fromkeys(map(str, DOORS), "gateway.services.server")


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("run", hidden=True, help="cli.run.help")(run)


def run(
    process: Annotated[str, typer.Argument(metavar="PROCESS")],
    # A HOME that root made can be passed through, not listed.
    home: Annotated[Path, typer.Argument(metavar="HOME", readable=False)],
) -> None:
    """Run a process until it is told to end."""
    if process not in _MODULES:
        raise typer.BadParameter(" | ".join(_MODULES), param_hint="PROCESS")
    log.configure(process, sys.stderr)
    main = importlib.import_module(_MODULES[process]).main
    place = Home(home.resolve())
    if process == "signer":
        confine(place, "signer")
        main(place)
    elif process == "front":
        confine(place, "front")
        main(place)
    else:
        door = next(door for door in DOORS if door == process)
        confine(place, door)
        main(place, door)
