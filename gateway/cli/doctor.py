"""`gateway doctor`: every prerequisite checked, with what to do where one is not met."""

from pathlib import Path
from typing import Annotated

import typer

from gateway.cli import origin_prerequisites, prerequisites
from gateway.cli.output import REFUSED, JsonOption, LangOption, Output
from gateway.client.profile import locate
from gateway.config.home import Home

HomeArgument = Annotated[Path | None, typer.Argument(metavar="[HOME]", help="cli.home")]
ProfileOption = Annotated[str, typer.Option("--profile", help="cli.doctor.profile")]
_SIGNS = {"good": "+", "note": "!", "bad": "-"}


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("doctor", help="cli.doctor.help")(doctor)


def doctor(
    home: HomeArgument = None,
    profile: ProfileOption = "",
    json: JsonOption = False,
    lang: LangOption = "",
) -> None:
    """Check this host, and a gateway's HOME or a client's profile."""
    output = Output.of(json, lang)
    found = list(prerequisites.of_host())
    if home is not None:
        place = Home(home.resolve())
        found += prerequisites.of_home(place)
        found += origin_prerequisites.of_origin(place)
    if profile:
        found += prerequisites.of_profile(locate(profile))
    told = [
        {
            "check": one.check,
            "state": one.state,
            "text": output.text(f"doctor.{one.check}-{one.state}", **one.about),
        }
        for one in found
    ]
    healthy = all(one.state != "bad" for one in found)
    lines = [f"{_SIGNS[one['state']]} {one['text']}" for one in told]
    output.result({"healthy": healthy, "findings": told}, "\n".join(lines))
    if not healthy:
        raise typer.Exit(REFUSED)
