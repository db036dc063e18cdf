"""`gateway profile add`: a profile out of the papers that the province handed over."""

from pathlib import Path
from typing import Annotated

import typer

from gateway.cli.output import USAGE, CommandError, JsonOption, LangOption, Output
from gateway.client import profile as profiles
from gateway.client.checkpoints import Checkpoints, LogError
from gateway.client.profile import Remote
from gateway.config.settings import PortSettings
from gateway.names import DEFAULT_TRUST_DOMAIN

Name = Annotated[str, typer.Argument(metavar="NAME", help="profile.name")]
Host = Annotated[str, typer.Option("--host", help="profile.host")]
Organisation = Annotated[str, typer.Option("--organisation", help="profile.organisation")]
Account = Annotated[str, typer.Option("--account", help="profile.account")]
Key = Annotated[Path, typer.Option("--key", help="profile.key", exists=True)]
Certificate = Annotated[
    Path, typer.Option("--certificate", help="profile.certificate", exists=True)
]
Root = Annotated[Path, typer.Option("--root", help="profile.root", exists=True)]
LogKey = Annotated[Path, typer.Option("--log-key", help="profile.log-key", exists=True)]
TrustDomain = Annotated[str, typer.Option("--trust-domain", help="profile.trust-domain")]
ServerName = Annotated[str, typer.Option("--server-name", help="profile.server-name")]
BasePort = Annotated[int, typer.Option("--base-port", help="profile.base-port", min=1, max=65_000)]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    noun = typer.Typer(help="profile.help", no_args_is_help=True)
    noun.command("add", help="profile.add.help")(add)
    app.add_typer(noun, name="profile")


def add(  # noqa: PLR0913, PLR0917  one parameter per option
    name: Name,
    host: Host,
    organisation: Organisation,
    account: Account,
    key: Key,
    certificate: Certificate,
    root: Root,
    log_key: LogKey,
    trust_domain: TrustDomain = DEFAULT_TRUST_DOMAIN,
    server_name: ServerName = "",
    base_port: BasePort = 8443,
    json: JsonOption = False,
    lang: LangOption = "",
) -> None:
    """Write a profile; nobody is asked."""
    output, folder = Output.of(json, lang), profiles.locate(name)
    if (folder / "profile.toml").exists():
        text = output.text("profile.exists", folder=folder)
        raise CommandError("PROFILE_EXISTS", text, status=USAGE)
    remote = Remote(
        host=host,
        server_name=server_name or trust_domain,
        trust_domain=trust_domain,
        organisation=organisation,
        account=account,
        log_key=log_key.read_text(encoding="utf-8").strip(),
        ports=_ports(base_port),
    )
    _write(folder, remote, key, certificate, root)
    output.result({"profile": str(folder)}, output.text("profile.added", folder=folder))


def _ports(base: int) -> PortSettings:
    """Return the ports as `gateway init` gives them out."""
    return PortSettings(
        intake=base,
        disclosure=base + 1,
        administration=base + 2,
        identity=base + 3,
        enrolment=base + 5,
    )


def _write(folder: Path, remote: Remote, key: Path, certificate: Path, root: Path) -> None:
    papers = [paper.read_bytes() for paper in (key, certificate, root)]
    written = profiles.write(folder, remote, key=papers[0], certificate=papers[1], root=papers[2])
    try:
        Checkpoints(written)
    except LogError as error:
        raise CommandError(error.code, str(error), status=USAGE) from error
