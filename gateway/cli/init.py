"""`gateway init`: a new gateway in an empty HOME, ready for `gateway serve`.

Steps: 1 folders and users, 2 settings and policies, 3 keys and authorities, 4 database, roles and
schema, 5 the province and its first admin on the register, with the log's first leaf, 6 the admin's
profile. When one fails, what was made is removed again.
"""

import asyncio
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from gateway.cli.founding import Founding
from gateway.cli.output import USAGE, CommandError, JsonOption, LangOption, Output
from gateway.config.home import Home
from gateway.names import DEFAULT_TRUST_DOMAIN
from gateway.store.external import ForeignDatabaseError

HomeArgument = Annotated[Path, typer.Argument(metavar="HOME", help="cli.init.home")]
Province = Annotated[str, typer.Option("--province", help="cli.init.province")]
TrustDomain = Annotated[str, typer.Option("--trust-domain", help="cli.init.trust-domain")]
Dsn = Annotated[str, typer.Option("--dsn", help="cli.init.dsn")]
PasswordFile = Annotated[
    Path | None, typer.Option("--password-file", help="cli.init.password-file", exists=True)
]
BasePort = Annotated[
    int, typer.Option("--base-port", help="cli.init.base-port", min=1024, max=65530)
]
Listen = Annotated[list[str] | None, typer.Option("--listen", help="cli.init.listen")]
Policies = Annotated[
    Path | None, typer.Option("--policies", help="cli.init.policies", exists=True, file_okay=False)
]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("init", help="cli.init.help")(init)


def init(  # noqa: PLR0913, PLR0917  one parameter per option
    home: HomeArgument,
    province: Province = "140000",
    trust_domain: TrustDomain = DEFAULT_TRUST_DOMAIN,
    dsn: Dsn = "",
    password_file: PasswordFile = None,
    base_port: BasePort = 8443,
    listen: Listen = None,
    policies: Policies = None,
    json: JsonOption = False,
    lang: LangOption = "",
) -> None:
    """Make a new gateway."""
    output = Output.of(json, lang)
    place = Home(home.resolve())
    founding = Founding(
        home=place,
        province=province,
        trust_domain=trust_domain,
        dsn=dsn,
        password=password_file.read_text().strip() if password_file else "",
        base_port=base_port,
        listen=tuple(listen or ["127.0.0.1"]),
        policies=policies,
    )
    with _emptied_on_failure(place):
        try:
            password = asyncio.run(founding.found(output.say))
        except ForeignDatabaseError as error:
            raise CommandError("DATABASE_FOREIGN", str(error)) from error
    _tell(output, founding, password)


def _tell(output: Output, founding: Founding, password: str) -> None:
    home = founding.home
    document: dict[str, object] = {
        "home": str(home.root),
        "profile": str(home.admin_profile),
        "offline": str(home.offline),
        "organisation": founding.province,
        "account": founding.account,
        "one_time_password": password,
    }
    output.result(document, output.text("init.done", **document))


@contextmanager
def _emptied_on_failure(home: Home) -> Iterator[None]:
    existed = home.root.exists()
    if existed and (not home.root.is_dir() or any(home.root.iterdir())):
        raise CommandError("HOME_NOT_EMPTY", f"{home.root} is not an empty folder", status=USAGE)
    try:
        yield
    except BaseException:
        for path in home.root.iterdir() if home.root.is_dir() else ():
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        if not existed:
            shutil.rmtree(home.root, ignore_errors=True)
        raise
