"""`gateway certificate list [HOME]` and `show SERIAL|FILE [HOME]`: where certificates stand.

With HOME on the gateway's own host, with a leaf; without over the network, as a profile's admin.
A file is judged by the clock alone: what the gateway thinks of it, `list` and `whoami` tell.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer
from cryptography import x509

from gateway.audit.event import Event
from gateway.cli import host
from gateway.cli.connected import ProfileOption, connected, load
from gateway.cli.output import CommandError, JsonOption, LangOption, Output
from gateway.cli.paging import PAGE, every
from gateway.cli.tables import table
from gateway.client import papers
from gateway.client.client import Client
from gateway.client.papers import PapersError
from gateway.client.profile import DEFAULT_NAME
from gateway.clock import SYSTEM, US_PER_S, iso
from gateway.config import policies
from gateway.config.home import Home
from gateway.errors import Reason, refuse
from gateway.pki import defect, der, register, renewal
from gateway.services import certificates
from gateway.store.database import Transaction
from gateway.v1 import admin_service_pb2 as v1
from gateway.v1 import certificate_pb2

HomeArgument = Annotated[
    Path | None, typer.Argument(metavar="[HOME]", help="certificate.home", exists=True)
]
Which = Annotated[str, typer.Argument(metavar="SERIAL|FILE", help="certificate.which")]
Organisation = Annotated[str, typer.Option("--organisation", help="certificate.of")]
InForce = Annotated[bool, typer.Option("--in-force", help="certificate.in-force")]
_DAY_US = 86_400 * US_PER_S
_COLUMNS = ("organisation", "subject", "purpose", "state", "not_after", "warning_days", "serial")
_STEPS_OF = {
    Reason.CERT_EXPIRED: "expired",
    Reason.CERT_NOT_YET_VALID: "not-yet-valid",
    None: "active",
}


def add(noun: typer.Typer) -> None:
    """Add the commands below `certificate`."""
    noun.command("list", help="certificate.list.help")(list_all)
    noun.command("show", help="certificate.show.help")(show)


def list_all(
    home: HomeArgument = None,
    organisation: Organisation = "",
    in_force: InForce = False,
    profile: ProfileOption = DEFAULT_NAME,
    json: JsonOption = False,
    lang: LangOption = "",
) -> None:
    """List certificates, newest first."""
    output = Output.of(json, lang)
    asked = v1.ListCertificatesRequest(organisation_code=organisation, in_force=in_force)
    found = _listed(output, home, profile, asked)
    headers = [output.text(f"certificate.column.{column}") for column in _COLUMNS]
    human = table(headers, [[_cell(output, one, name) for name in _COLUMNS] for one in found])
    output.result({"certificates": found}, human)


def show(
    which: Which,
    home: HomeArgument = None,
    profile: ProfileOption = DEFAULT_NAME,
    json: JsonOption = False,
    lang: LangOption = "",
) -> None:
    """Show one certificate: whose, what for, where it stands, and what comes next."""
    output = Output.of(json, lang)
    if Path(which).is_file():
        found = _of_file(Path(which))
    else:
        wanted = serial_of(which)
        listed = _listed(output, home, profile, v1.ListCertificatesRequest())
        by_serial = {str(one["serial"]): one for one in listed}
        if wanted not in by_serial:
            raise refuse(Reason.NOT_FOUND)
        found = by_serial[wanted]
    output.result(found, _told(output, found))


def _told(output: Output, found: dict[str, object]) -> str:
    words = {name: _cell(output, found, name) for name in ("purpose", "state")}
    digest = papers.grouped(str(found["sha256"]))
    return "\n".join(
        [
            output.text("certificate.shown", **{**found, **words, "sha256": digest}),
            *(
                output.text(f"certificate.shown.{name}", value=found[name])
                for name in ("key_sha256", "first_use", "ended")
                if found.get(name)
            ),
            output.text(f"certificate.next.{found['state']}"),
        ]
    )


def serial_of(text: str) -> str:
    """Return a serial as the register writes it, however it was copied."""
    return text.lower().removeprefix("0x").replace(":", "").lstrip("0")


def _listed(
    output: Output, home: Path | None, profile: str, asked: v1.ListCertificatesRequest
) -> list[dict[str, object]]:
    if home is not None:
        return [_document(one) for one in _on_host(host.place(home), asked)]

    async def work(client: Client) -> list[v1.RegisteredCertificate]:
        async def ask(token: str) -> v1.ListCertificatesResponse:
            request = v1.ListCertificatesRequest(page_size=PAGE, page_token=token)
            request.MergeFrom(asked)
            return await client.call(client.admin.ListCertificates, request)

        return await every(ask, lambda answer: answer.certificates)

    return [_document(one) for one in connected(output, load(profile), work)]


def _on_host(place: Home, asked: v1.ListCertificatesRequest) -> Iterable[v1.RegisteredCertificate]:
    rules = policies.load_certificate_rules(place.policies / "certificates.toml")
    found: list[register.Row] = []
    event = Event(kind="admin.certificate.list", door="host")

    async def effect(tx: Transaction) -> Event:
        found[:] = await register.rows(tx)
        return event.with_(counts={"certificates": len(found)})

    host.act(place, event, effect)
    now_us = SYSTEM.now_us()
    for row in reversed(found):
        if asked.organisation_code not in {"", row.organisation}:
            continue
        if asked.in_force and row.life.defect(now_us) is not None:
            continue
        bounds = (row.not_before_us, row.not_after_us)
        step = renewal.warning_days(*bounds, now_us, rules.warnings)
        yield certificates.registered(row, now_us, step)


def _document(one: v1.RegisteredCertificate) -> dict[str, object]:
    kind = "officer" if one.officer else "sys"
    state = certificate_pb2.CertificateState.Name(one.state)
    purpose = certificate_pb2.CertificatePurpose.Name(one.purpose)
    return {
        "serial": one.serial,
        "organisation": one.organisation_code,
        "subject": f"{kind}/{one.system_name}",
        "purpose": purpose.removeprefix("CERTIFICATE_PURPOSE_").lower(),
        "state": state.removeprefix("CERTIFICATE_STATE_").lower().replace("_", "-"),
        "generation": one.generation,
        "not_before": iso(one.issue_time.ToMicroseconds()),
        "not_after": iso(one.expire_time.ToMicroseconds()),
        "days_left": _days_left(one.expire_time.ToMicroseconds()),
        "first_use": _moment(one, "first_use_time"),
        "ended": _moment(one, "end_time"),
        "sha256": one.certificate_sha256,
        "warning_days": one.warning_days,
    }


def _moment(one: v1.RegisteredCertificate, field: str) -> str:
    return iso(getattr(one, field).ToMicroseconds()) if one.HasField(field) else ""  # type: ignore[arg-type] # one of its two moments


def _days_left(not_after_us: int) -> int:
    return max(0, (not_after_us - SYSTEM.now_us()) // _DAY_US)


def _cell(output: Output, one: dict[str, object], name: str) -> str:
    value = one[name]
    if name in {"purpose", "state"}:
        return output.text(f"certificate.{name}.{value}")
    return str(value or "") if name == "warning_days" else str(value)


def _of_file(path: Path) -> dict[str, object]:
    content = path.read_bytes()
    try:
        found = papers.read(content)
        usage = der.certificates(content)[0].extensions.get_extension_for_class(x509.KeyUsage)
    except (PapersError, der.MalformedError, x509.ExtensionNotFound) as error:
        raise CommandError("FILE_UNREADABLE", f"{path}: {error}") from error
    subject = found.subject
    state = defect.timely(found.not_before_us, found.not_after_us, SYSTEM.now_us())
    return {
        "serial": found.serial,
        "organisation": subject.organisation,
        "subject": f"{subject.kind}/{subject.name}",
        "purpose": "encryption" if usage.value.key_agreement else "tls",
        "state": _STEPS_OF[state],
        "not_before": iso(found.not_before_us),
        "not_after": iso(found.not_after_us),
        "days_left": _days_left(found.not_after_us),
        "sha256": found.sha256,
        "key_sha256": papers.grouped(found.spki_sha256),
    }
