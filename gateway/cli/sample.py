"""`gateway sample`: generated records that look like Shanxi, with the truth about their defects."""

from datetime import date
from pathlib import Path
from typing import Annotated

import typer

from gateway.cli.output import USAGE, CommandError, JsonOption, LangOption, Output
from gateway.config.policies import shipped
from gateway.sample import files, tables
from gateway.sample.province import AS_OF, FAULTLESS, Province, Shares, choose_counties, units_of

_AS_OF = AS_OF.isoformat()
Seed = Annotated[int, typer.Option("--seed", help="sample.seed")]
Children = Annotated[int, typer.Option("--children", help="sample.children", min=1, max=1_000_000)]
Out = Annotated[Path, typer.Option("--out", help="sample.out", file_okay=False)]
County = Annotated[list[str] | None, typer.Option("--county", help="sample.county")]
AsOf = Annotated[str, typer.Option("--as-of", help="sample.as-of", metavar="YYYY-MM-DD")]
Policies = Annotated[Path | None, typer.Option("--policies", help="sample.policies", exists=True)]
Faultless = Annotated[bool, typer.Option("--faultless", help="sample.faultless")]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("sample", help="sample.help")(sample)


def sample(  # noqa: PLR0913, PLR0917  one parameter per option
    children: Children,
    out: Out,
    seed: Seed = 1,
    county: County = None,
    as_of: AsOf = _AS_OF,
    policies: Policies = None,
    faultless: Faultless = False,
    json: JsonOption = False,
    lang: LangOption = "",
) -> None:
    """Write a sample."""
    output = Output.of(json, lang)
    found = tables.load(policies or shipped("policies"))
    counties = tuple(county or choose_counties(found, seed, children))
    units = units_of(found, _known(output, found, counties))
    shares = FAULTLESS if faultless else Shares()
    day = _day(output, as_of)
    province = Province(found, units, seed=seed, children=children, as_of=day, shares=shares)
    records = files.collect(province)
    files.write(out, records, units)
    document: dict[str, object] = {
        "folder": str(out),
        "counties": list(counties),
        "units": len(units),
        "records": records.count(),
        "defects": len(records.truth),
    }
    total = sum(records.count().values())
    output.result(document, output.text("sample.done", **{**document, "records": total}))


def _known(output: Output, found: tables.Tables, counties: tuple[str, ...]) -> tuple[str, ...]:
    known = {division.code for division in found.counties()}
    for code in counties:
        if code not in known:
            text = output.text("sample.county-unknown", code=code)
            raise CommandError("COUNTY_UNKNOWN", text, status=USAGE)
    return counties


def _day(output: Output, text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise CommandError("DATE_INVALID", output.text("sample.day"), status=USAGE) from None
