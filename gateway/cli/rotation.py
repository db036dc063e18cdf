"""`gateway rotation status|run|change HOME`: every secret's age, what is due now, another now.

Exit status of `status`: 0, or 1 when somebody is late. On the gateway's own host, without a leaf:
nothing individual is shown.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from gateway.cli import host
from gateway.cli.output import (
    REFUSED,
    UNAVAILABLE,
    USAGE,
    CommandError,
    JsonOption,
    LangOption,
    Output,
)
from gateway.cli.tables import table
from gateway.clock import SYSTEM, US_PER_S, iso
from gateway.config import settings
from gateway.config.confinement import check_runner
from gateway.config.home import Home
from gateway.identity import secret_rows
from gateway.identity.census import Census
from gateway.identity.lives import AT_A_WORD
from gateway.identity.rotation import (
    DAY_US,
    HOUR_US,
    Judgement,
    Kind,
    needs_somebody,
    sorted_by_urgency,
)
from gateway.identity.secret_rows import OpenStep
from gateway.store import roles
from gateway.store.database import Database, StoreAwayError
from gateway.supervise import rotation
from gateway.supervise.taker import StepError

HomeArgument = Annotated[Path, typer.Argument(metavar="HOME", help="cli.home", exists=True)]
KindArgument = Annotated[str, typer.Argument(help="rotation.kind", metavar="|".join(AT_A_WORD))]
NameArgument = Annotated[str, typer.Argument(help="rotation.name", metavar="[NAME]")]
_COLUMNS = ("late", "kind", "owner", "name", "stage", "age", "step", "due")
# Hours are told of what is younger than this.
_IN_HOURS_US = 2 * DAY_US
_MINUTE = 16


def register(app: typer.Typer) -> None:
    """Add the commands."""
    noun = typer.Typer(name="rotation", help="rotation.help", no_args_is_help=True)
    noun.command("status", help="rotation.status.help")(status)
    noun.command("run", help="rotation.run.help")(run)
    noun.command("change", help="rotation.change.help")(change)
    app.add_typer(noun)


def status(home: HomeArgument, json: JsonOption = False, lang: LangOption = "") -> None:
    """Show every secret there is, the most urgent first."""
    output, place = Output.of(json, lang), Home(home.resolve())
    check_runner(place)
    now_us = SYSTEM.now_us()
    report = asyncio.run(read(place, now_us))
    output.result(report.document(), report.text(output))
    if report.late:
        raise typer.Exit(REFUSED)


def run(home: HomeArgument, json: JsonOption = False, lang: LangOption = "") -> None:
    """Do what is due now, as the supervisor does every minute, and say what was done."""
    output, place = Output.of(json, lang), host.place(home)
    done, told, waiting = asyncio.run(_run(place))
    document: dict[str, object] = {
        "done": [
            {"kind": one.secret.kind, "generation": one.secret.generation, "step": one.step}
            for one in done
        ],
        "told": told,
        "waiting": [one.secret.kind for one in waiting],
    }
    lines = [
        output.text(
            "rotation.done",
            kind=output.text(f"rotation.kind.{one.secret.kind}"),
            generation=one.secret.generation,
            step=output.text(f"rotation.step.{one.step}"),
        )
        for one in done
    ]
    lines += [output.text("rotation.told", count=told)] if told else []
    lines += [_waits(output, home, one) for one in waiting]
    output.result(document, "\n".join(lines or [output.text("rotation.nothing")]))


def change(
    home: HomeArgument,
    kind: KindArgument,
    name: NameArgument = "",
    json: JsonOption = False,
    lang: LangOption = "",
) -> None:
    """Let other secrets of a kind follow now, whatever their age: one may have leaked."""
    output, place = Output.of(json, lang), host.place(home)
    wanted = next((one for one in AT_A_WORD if one == kind), None)
    if wanted is None:
        raise CommandError("KIND_UNKNOWN", " | ".join(AT_A_WORD), status=USAGE)
    try:
        done, failing = asyncio.run(_change(place, wanted, name))
    except StepError as error:
        raise CommandError("SECRET_OVERLAPS", output.text("rotation.overlaps")) from error
    if not (done or failing):
        raise CommandError("NAME_UNKNOWN", name, status=USAGE)
    changed = [{"name": one.secret.name, "generation": one.secret.generation} for one in done]
    about = output.text(f"rotation.kind.{kind}")
    lines = [output.text("rotation.changed", kind=about, **one) for one in changed]
    lines += [_tried(output, one) for one in failing]
    document: dict[str, object] = {"kind": kind, "done": changed}
    output.result({**document, "failing": list(map(_failing, failing))}, "\n".join(lines))
    if failing:
        raise typer.Exit(UNAVAILABLE)


@dataclass(frozen=True, slots=True)
class Report:
    """Every secret, judged at one time; `complete` unless the database was away.

    `failing` are the steps that were tried in vain and are tried on.
    """

    now_us: int
    judged: Sequence[Judgement]
    complete: bool
    failing: Sequence[OpenStep] = ()

    @property
    def late(self) -> list[Judgement]:
        """Those that missed their time."""
        return [one for one in self.judged if one.late]

    @property
    def recipients(self) -> int:
        """How many there are to whom backups are encrypted."""
        return sum(one.secret.kind == "backup-recipient" for one in self.judged)

    def document(self) -> dict[str, object]:
        """Return all of it, as --json prints it."""
        return {
            "time": iso(self.now_us),
            "database": "here" if self.complete else "away",
            "late": len(self.late),
            "attention": sum(map(needs_somebody, self.judged)),
            "failing": [_failing(one) for one in self.failing],
            "backup_recipients": self.recipients,
            "secrets": [document_of(one) for one in self.judged],
        }

    def text(self, output: Output) -> str:
        """Return the same for people."""
        headers = [output.text(f"rotation.column.{name}") for name in _COLUMNS]
        counts = {
            "count": len(self.judged),
            "attention": sum(map(needs_somebody, self.judged)),
            "late": len(self.late),
        }
        lines = [output.text("rotation.summary", time=_minute(self.now_us), **counts)]
        lines += [] if self.complete else [output.text("rotation.away")]
        lines += [_tried(output, one) for one in self.failing]
        lines += ["", table(headers, [_row(output, one) for one in self.judged])]
        if self.complete and not self.recipients:
            lines += ["", output.text("rotation.no-recipient")]
        return "\n".join(lines)


async def read(place: Home, now_us: int) -> Report:
    """Return the report of a HOME; without its database of what lies on disk."""
    census = Census.of(place)
    owner = roles.conninfo(place, settings.load(place.settings), "owner")
    try:
        database = await Database.open(owner, application="gateway-rotation", size=1)
    except StoreAwayError:
        found = census.on_disk(census.lying(), now_us)
        return Report(now_us, sorted_by_urgency(found), complete=False)
    try:
        async with database.transaction() as tx:
            found = await census.everything(tx, now_us)
            steps = await secret_rows.open_steps(tx)
    finally:
        await database.close()
    failing = [one for one in steps if one.failures]
    return Report(now_us, sorted_by_urgency(found), complete=True, failing=failing)


async def _run(place: Home) -> tuple[list[rotation.Done], int, list[Judgement]]:
    """Return what was done, of how many it was told, and what waits for a person's word."""
    own = settings.load(place.settings)
    async with rotation.engine(place, own, "host") as engine:
        done, told = await engine.look(), await engine.tell()
    judged = (await read(place, SYSTEM.now_us())).judged
    words = [one for one in judged if one.step == "replace" and one.secret.kind in AT_A_WORD]
    return done, told, [one for one in words if needs_somebody(one)]


async def _change(place: Home, kind: Kind, name: str) -> tuple[list[rotation.Done], list[OpenStep]]:
    own = settings.load(place.settings)
    async with rotation.engine(place, own, "host") as engine:
        done = await engine.change(kind, name)
    report = await read(place, SYSTEM.now_us())
    failing = [one for one in report.failing if one.secret.kind == kind]
    return [one for one in done if one.secret.kind == kind], failing


def document_of(judgement: Judgement) -> dict[str, object]:
    """Return a secret as --json shows it: never its value, of a key its public name."""
    secret = judgement.secret
    return {
        "kind": secret.kind,
        "owner": secret.owner,
        "name": secret.name,
        "generation": secret.generation,
        "key_id": secret.key_id,
        "stage": judgement.stage,
        "age_seconds": judgement.age_us // US_PER_S,
        "step": judgement.step,
        "due": None if judgement.due_us is None else iso(judgement.due_us),
        "late": judgement.late,
    }


def _failing(step: OpenStep) -> dict[str, object]:
    return {
        "kind": step.secret.kind,
        "generation": step.secret.generation,
        "step": step.step,
        "failures": step.failures,
    }


def _tried(output: Output, step: OpenStep) -> str:
    kind = output.text(f"rotation.kind.{step.secret.kind}")
    about = {"generation": step.secret.generation, "failures": step.failures}
    step_name = output.text(f"rotation.step.{step.step}")
    return output.text("rotation.failing", kind=kind, step=step_name, **about)


def _waits(output: Output, home: Path, judgement: Judgement) -> str:
    kind, due_us = judgement.secret.kind, judgement.due_us or 0
    about = {"kind": output.text(f"rotation.kind.{kind}"), "due": _minute(due_us)}
    return output.text("rotation.waits", command=f"gateway rotation change {home} {kind}", **about)


def _row(output: Output, judgement: Judgement) -> tuple[str, ...]:
    secret = judgement.secret
    hosted = secret.owner == "host"
    return (
        output.text("rotation.late") if judgement.late else "",
        output.text(f"rotation.kind.{secret.kind}"),
        output.text("rotation.host") if hosted else secret.owner,
        f"{secret.name} #{secret.generation}" if hosted else secret.name,
        output.text(f"rotation.stage.{judgement.stage}"),
        _age(output, judgement.age_us),
        output.text(f"rotation.step.{judgement.step}"),
        "" if judgement.due_us is None else _minute(judgement.due_us),
    )


def _age(output: Output, age_us: int) -> str:
    if age_us < _IN_HOURS_US:
        return output.text("rotation.hours", hours=age_us // HOUR_US)
    return output.text("rotation.days", days=age_us // DAY_US)


def _minute(us: int) -> str:
    return iso(us)[:_MINUTE].replace("T", " ")
