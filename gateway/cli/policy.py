"""`gateway policy check|show|test`: checks and shows the policies, and tests their cases.

FOLDER is a HOME, its policies folder, or a folder of Cedar files; without it, what ships.
"""

from pathlib import Path
from typing import Annotated

import typer

from gateway.cli import policy_change, policy_sign
from gateway.cli.output import REFUSED, CommandError, JsonOption, LangOption, Output
from gateway.cli.policy_folder import INVALID, cedar_of, opened, whole
from gateway.cli.tables import table
from gateway.config.policies import load_policies
from gateway.identity import rule_files
from gateway.policy import cases, mutation
from gateway.policy.bundle import CASES_FOLDER, BundleError

CASES_FAIL = "POLICY_CASES_FAIL"
FolderArgument = Annotated[Path | None, typer.Argument(metavar="[FOLDER]", help="policy.folder")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    noun = typer.Typer(name="policy", help="policy.help", no_args_is_help=True)
    noun.command("check", help="policy.check.help")(check)
    noun.command("show", help="policy.show.help")(show)
    noun.command("test", help="policy.test.help")(prove)
    policy_change.add(noun)
    policy_sign.add(noun)
    app.add_typer(noun)


def check(folder: FolderArgument = None, json: JsonOption = False, lang: LangOption = "") -> None:
    """Compile the policies and run their cases; of a whole policies folder, read the rest too."""
    output = Output.of(json, lang)
    cedar = cedar_of(folder)
    engine, found = whole(cedar)
    failures = cases.failing(engine, found)
    if failures:
        told = [
            output.text(
                "policy.case-fails",
                case=failure.case.name,
                file=cedar / CASES_FOLDER,
                wanted=", ".join(failure.case.policies),
                decided=", ".join(failure.decision.policies),
            )
            for failure in failures
        ]
        raise CommandError(CASES_FAIL, "\n".join(told))
    document: dict[str, object] = {
        "folder": str(cedar),
        "bundle": engine.bundle.sha256,
        "policies": len(engine.policies),
        "cases": len(found.case),
    }
    if (cedar.parent / "limits.toml").is_file():
        # Their errors are SettingsError, which the program tells.
        document["sha256"] = load_policies(cedar.parent).sha256
        document["passwords"] = rule_files.load(cedar.parent / "passwords.toml").profile
    output.result(document, output.text("policy.checked", **document))


def show(folder: FolderArgument = None, json: JsonOption = False, lang: LangOption = "") -> None:
    """Show each policy with what it says."""
    output = Output.of(json, lang)
    engine, _ = opened(cedar_of(folder))
    shown = [
        {
            "policy": one.name,
            "effect": one.effect,
            "text": one.chinese if output.language == "zh" else one.english,
        }
        for one in engine.policies
    ]
    headers = [output.text(f"policy.column.{name}") for name in ("policy", "effect", "text")]
    rows = [
        (one["policy"], output.text(f"policy.effect.{one['effect']}"), one["text"]) for one in shown
    ]
    document: dict[str, object] = {"bundle": engine.bundle.sha256, "policies": shown}
    output.result(document, table(headers, rows))


def prove(folder: FolderArgument = None, json: JsonOption = False, lang: LangOption = "") -> None:
    """Take away each part of each policy in turn; a case must fail every time."""
    output = Output.of(json, lang)
    engine, found = opened(cedar_of(folder))
    mutants = mutation.run(engine, found)
    try:
        explained = mutation.explained(cedar_of(folder))
    except BundleError as error:
        raise CommandError(INVALID, str(error)) from error
    survived = [one for one in mutants if not one.killed_by]
    survivors = [one for one in survived if (one.policy, one.change) not in explained]
    document: dict[str, object] = {
        "bundle": engine.bundle.sha256,
        "cases": len(found.case),
        "mutants": len(mutants),
        "explained": len(survived) - len(survivors),
        "survivors": [{"policy": one.policy, "change": one.change} for one in survivors],
    }
    lines = [
        output.text("policy.survives", policy=one.policy, change=one.change) for one in survivors
    ]
    counts = {"cases": len(found.case), "mutants": len(mutants), "survivors": len(survivors)}
    output.result(document, "\n".join([*lines, output.text("policy.tested", **counts)]))
    if survivors:
        raise typer.Exit(REFUSED)
