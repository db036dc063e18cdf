"""What a command says: results on standard output, everything else on standard error.

With --json standard output holds exactly one JSON document, also when the command is refused.
Exit status: 0 done, 1 refused (its code is printed), 2 wrong usage, 3 unavailable: try again.
"""

import json
import os
import re
import sys
from dataclasses import dataclass
from typing import Annotated, NoReturn

import typer
from rich.console import Console

from gateway import messages
from gateway.cli.visible import harmless
from gateway.errors import REASONS, Refusal, UnavailableError
from gateway.messages import Language

REFUSED = 1
USAGE = 2
UNAVAILABLE = 3
_TICKET = re.compile(r"EX-[0-9]{8}", re.ASCII)

# The two options that every command takes; their help is a message id, like all help.
JsonOption = Annotated[bool, typer.Option("--json", help="cli.option.json")]
LangOption = Annotated[str, typer.Option("--lang", help="cli.option.lang", metavar="zh|en")]


class CommandError(Exception):
    """A command cannot do what it was asked: a code for machines and a text for people."""

    def __init__(
        self, code: str, text: str, *, status: int = REFUSED, msgid: str = "", **parameters: object
    ) -> None:
        """Say why; `status` is the exit status.

        Where no output is at hand `msgid` with its parameters is the text, in the user's language.
        """
        super().__init__(text)
        self.code = code
        self.status = status
        self.msgid = msgid
        self.parameters = parameters


@dataclass(frozen=True, slots=True)
class Output:
    """Speaks the user's language; prints one JSON document where `json` is set."""

    language: Language
    json: bool = False

    @classmethod
    def of(cls, json_wanted: bool, lang: str) -> "Output":
        """Return the output for a command's --json and --lang ("" means the environment's)."""
        if lang not in ("", "zh", "en"):
            raise typer.BadParameter("zh | en", param_hint="--lang")
        chosen: Language = messages.language(os.environ)
        if lang:
            chosen = "zh" if lang == "zh" else "en"
        return cls(chosen, json_wanted)

    def text(self, msgid: str, **parameters: object) -> str:
        """Return a text of the catalogues in the user's language."""
        return messages.text(msgid, self.language, **parameters)

    def say(self, msgid: str, **parameters: object) -> None:
        """Tell the user something on standard error."""
        print(harmless(self.text(msgid, **parameters)), file=sys.stderr, flush=True)  # noqa: T201  a program's output

    def progress(self) -> Console:
        """Return the terminal for progress bars: standard error."""
        return Console(stderr=True)

    def result(self, document: dict[str, object], human: str) -> None:
        """Print the result: the document with --json, else the text for people."""
        text = json.dumps(document, ensure_ascii=False, indent=2) if self.json else human
        print(harmless(text), flush=True)  # noqa: T201  a program's output

    def fail(self, error: Refusal | CommandError) -> NoReturn:
        """Print why it failed and leave with the exit status that says so."""
        code, text, status = self._told(error)
        if self.json:
            self.result({"refused": code, "message": text}, "")
        else:
            print(harmless(text), file=sys.stderr, flush=True)  # noqa: T201  a program's output
        raise SystemExit(status)

    def _told(self, error: Refusal | CommandError) -> tuple[str, str, int]:
        if isinstance(error, CommandError):
            said = self.text(error.msgid, **error.parameters) if error.msgid else str(error)
            return error.code, f"gateway: {error.code}: {said}", error.status
        meaning = REASONS[error.reason]
        said = meaning.chinese if self.language == "zh" else meaning.english
        away = isinstance(error, UnavailableError)
        told = self.text("unavailable" if away else "refused", reason=error.reason, meaning=said)
        violations = [
            f"  {one.field}: {one.chinese if self.language == 'zh' else one.english}"
            for one in error.violations
        ]
        # Which ticket it is about; nothing else of what the gateway sent is printed as it came.
        ticket = error.metadata.get("ticket", "")
        named = [f"  {ticket}"] if _TICKET.fullmatch(ticket) else []
        return (
            error.reason,
            "\n".join([told, *violations, *named]),
            UNAVAILABLE if away else REFUSED,
        )
