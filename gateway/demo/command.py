"""`gateway demo`: the told story, on loopback, with generated people, in under a minute."""

import asyncio
import os
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer
from rich.console import Console

from gateway import messages
from gateway.demo.story import CHILDREN, Teller, tell

Keep = Annotated[Path | None, typer.Option("--keep", help="demo.option.keep")]
Children = Annotated[int, typer.Option("--children", help="demo.option.children", min=100)]
Lang = Annotated[str, typer.Option("--lang", help="cli.option.lang", metavar="zh|en")]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("demo", help="demo.help")(demo)


def demo(keep: Keep = None, children: Children = CHILDREN, lang: Lang = "") -> None:
    """Tell the story; exit status 1 when one promise was not kept."""
    language = messages.language({"LANG": lang} if lang else os.environ)
    teller = Teller(language, Console(stderr=True), Console())
    # Short and outside of a private home: socket paths are limited, and service users must get in.
    with TemporaryDirectory(prefix="gateway-demo-", dir="/tmp") as temporary:
        folder = keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o711)  # as root the processes have users of their own, who pass through here
        kept = asyncio.run(tell(teller, folder, children))
    if not kept:
        raise typer.Exit(1)
