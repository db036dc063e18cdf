"""The program `gateway`: every noun's commands in one application, and errors as exit statuses."""

import importlib
import os
import pkgutil
from collections.abc import Sequence

import typer
from typer.main import get_command

import gateway.cli
from gateway import messages
from gateway.cli.output import UNAVAILABLE, USAGE, CommandError, LangOption, Output
from gateway.config.confinement import ConfinementError
from gateway.config.settings import SettingsError
from gateway.config.users import UserError
from gateway.errors import Refusal
from gateway.messages import Language
from gateway.store.database import StoreAwayError, StoreError
from gateway.store.embedded import ClusterError
from gateway.store.errors import MigrationError

# What a person can mend, with the code printed for it; anything else is a bug and shows itself.
_MENDABLE: dict[type[Exception], tuple[str, int]] = {
    SettingsError: ("SETTINGS_INVALID", USAGE),
    ConfinementError: ("USER_WRONG", USAGE),
    UserError: ("USER_MISSING", USAGE),
    ClusterError: ("DATABASE_FAILED", UNAVAILABLE),
    MigrationError: ("MIGRATION_FAILED", UNAVAILABLE),
    StoreAwayError: ("STORE_AWAY", UNAVAILABLE),
    StoreError: ("STORE_FAILED", UNAVAILABLE),
    PermissionError: ("FILE_FORBIDDEN", USAGE),
    FileNotFoundError: ("FILE_MISSING", USAGE),
}


def application(*nouns: str) -> typer.Typer:
    """Return the application of these modules of the package; of all that `register`, if none."""
    app = typer.Typer(
        name="gateway",
        help="cli.help",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,  # its tracebacks show local variables, secrets among them
    )
    # A callback keeps it a group, however few commands there are, and takes --lang before --help.
    app.callback()(_root)
    every = sorted(found.name for found in pkgutil.iter_modules(gateway.cli.__path__))
    for module in nouns or every:
        register = getattr(importlib.import_module(f"gateway.cli.{module}"), "register", None)
        if callable(register):  # a module may import `pki.register` by that name
            register(app)
    return app


def noun(arguments: Sequence[str]) -> tuple[str, ...]:
    """Return the module that alone is needed for a command line, if its first word names one.

    Importing all of them takes a second, and the supervisor starts five processes at once.
    """
    known = {found.name for found in pkgutil.iter_modules(gateway.cli.__path__)}
    return tuple(word for word in arguments[:1] if word in known)


def _root(lang: LangOption = "") -> None:
    Output.of(json_wanted=False, lang=lang)


def run(app: typer.Typer, arguments: Sequence[str]) -> None:
    """Run one command line and leave with its exit status."""
    language = _language(arguments)
    command = get_command(app)
    _translate(command, language)
    output = Output(language, "--json" in arguments)
    try:
        command.main(args=list(arguments), prog_name="gateway")
    except (Refusal, CommandError) as error:
        output.fail(error)
    except tuple(_MENDABLE) as error:
        code, status = next(told for kind, told in _MENDABLE.items() if isinstance(error, kind))
        output.fail(CommandError(code, str(error), status=status))


def _language(arguments: Sequence[str]) -> Language:
    # Help is shown before options are parsed, so --lang is looked for by hand.
    for before, word in zip(["", *arguments], arguments, strict=False):
        if word == "--lang=zh" or (before, word) == ("--lang", "zh"):
            return "zh"
        if word == "--lang=en" or (before, word) == ("--lang", "en"):
            return "en"
    return messages.language(os.environ)


def _translate(command: object, language: Language) -> None:
    for helped in [command, *getattr(command, "params", [])]:
        said = getattr(helped, "help", None)
        if isinstance(said, str):
            helped.help = messages.text(said, language)
    for below in getattr(command, "commands", {}).values():
        _translate(below, language)
