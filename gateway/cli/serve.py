"""`gateway serve`: runs a gateway until SIGTERM or ^C."""

import asyncio
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from gateway import log
from gateway.cli.output import UNAVAILABLE, CommandError, JsonOption, LangOption, Output
from gateway.config import settings
from gateway.config.confinement import check_runner
from gateway.config.home import Home
from gateway.supervise.child import log_path
from gateway.supervise.keeper import StartError
from gateway.supervise.state import AlreadyServedError
from gateway.supervise.supervisor import Supervisor

HomeArgument = Annotated[Path, typer.Argument(metavar="HOME", help="cli.home")]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("serve", help="cli.serve.help")(serve)


def serve(home: HomeArgument, json: JsonOption = False, lang: LangOption = "") -> None:
    """Start and watch front, doors, signer and database of a HOME."""
    output = Output.of(json, lang)
    place = Home(home.resolve())
    check_runner(place)
    own = settings.load(place.settings)
    log.configure("supervisor", log_path(place, "supervisor"))
    supervisor = Supervisor(place, own, Teller(output, place))
    try:
        asyncio.run(supervisor.serve())
    except AlreadyServedError as error:
        raise CommandError("ALREADY_SERVED", str(error)) from error
    except StartError as error:
        text = output.text("serve.start-failed", why=str(error), logs=str(place.logs))
        raise CommandError("START_FAILED", text, status=UNAVAILABLE) from error


class Teller:
    """Says what the supervisor does, a line each; with --json one document once all serve."""

    def __init__(self, output: Output, home: Home) -> None:
        """Speak through this output."""
        self._output = output
        self._home = home

    def __call__(self, what: str, about: Mapping[str, object]) -> None:
        """Tell one thing; `what` is a state of a process or a step of the supervisor."""
        self._output.say(f"serve.{what}", **about)
        if what == "serving" and self._output.json:
            self._output.result({"serving": str(self._home.root), "pid": os.getpid()}, "")
