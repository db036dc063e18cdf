"""`gateway certificate revoke [HOME]`: taking certificates back.

With HOME on the gateway's own host, without over the network as a profile's admin. Whichever way:
one transaction with its leaf, connections cut within a second, the list published at once.
"""

import asyncio
import re
from typing import Annotated

import typer

from gateway.audit.event import Event
from gateway.cli import host
from gateway.cli.certificate_list import HomeArgument, serial_of
from gateway.cli.connected import ProfileOption, connected, load
from gateway.cli.output import JsonOption, LangOption, Output
from gateway.cli.paging import new_id
from gateway.client.client import Client
from gateway.client.profile import DEFAULT_NAME
from gateway.clock import SYSTEM
from gateway.config import policies, settings
from gateway.config.home import Home
from gateway.names import SubjectKind
from gateway.pki import publish, revoke
from gateway.pki.register import Bearer
from gateway.pki.revoke import Target
from gateway.store import roles
from gateway.store.database import Database, Transaction
from gateway.v1 import admin_service_pb2 as v1

Serial = Annotated[str, typer.Option("--serial", help="certificate.serial")]
Organisation = Annotated[str, typer.Option("--organisation", help="certificate.organisation")]
System = Annotated[str, typer.Option("--system", help="certificate.system")]
Officer = Annotated[str, typer.Option("--officer", help="certificate.officer")]
AuthorityKey = Annotated[str, typer.Option("--authority", help="certificate.authority")]
Cause = Annotated[str, typer.Option("--reason", help="certificate.reason")]
Because = Annotated[str, typer.Option("--because", help="certificate.because")]
_SERIAL = re.compile(r"[0-9a-f]{1,40}", re.ASCII)
_SHA256 = re.compile(r"[0-9a-f]{64}", re.ASCII)
_CAUSES = {
    name.removeprefix("CAUSE_").lower().replace("_", "-"): number
    for name, number in v1.RevokeCertificatesRequest.Cause.items()
    if number
}


def add(noun: typer.Typer) -> None:
    """Add the command below `certificate`."""
    noun.command("revoke", help="certificate.revoke.help")(revoke_some)


def revoke_some(  # noqa: PLR0913, PLR0917  one parameter per option
    home: HomeArgument = None,
    serial: Serial = "",
    organisation: Organisation = "",
    system: System = "",
    officer: Officer = "",
    authority: AuthorityKey = "",
    reason: Cause = "unspecified",
    because: Because = "",
    profile: ProfileOption = DEFAULT_NAME,
    json: JsonOption = False,
    lang: LangOption = "",
) -> None:
    """Revoke a certificate, or all of a system, an officer, an organisation or an authority."""
    output = Output.of(json, lang)
    request = _request(serial, organisation, (system, officer), authority)
    if home is not None:
        document = _on_host(host.place(home), request, reason)
    else:
        if reason not in _CAUSES or not because:
            raise typer.BadParameter(f"--reason {'|'.join(_CAUSES)} --because TEXT")
        request.cause, request.reason = _CAUSES[reason], because

        async def work(client: Client) -> v1.RevokeCertificatesResponse:
            return await client.call(client.admin.RevokeCertificates, request)

        answer = connected(output, load(profile), work)
        document = {"revoked": answer.revoked_count, "crl_number": answer.crl_number}
    if serial:
        document["serial"] = request.serial
    output.result(document, output.text("certificate.revoked", **document))


def _request(
    serial: str, organisation: str, bearer: tuple[str, str], authority: str
) -> v1.RevokeCertificatesRequest:
    """Return the request of exactly one well-formed target."""
    system, officer = bearer
    request = v1.RevokeCertificatesRequest(request_id=new_id())
    targets = [bool(serial), bool(organisation), bool(authority)]
    if targets.count(True) != 1 or (system and officer) or (any(bearer) and not organisation):
        raise typer.BadParameter("--serial | --organisation [--system | --officer] | --authority")
    if serial:
        request.serial = serial_of(serial)
        if not _SERIAL.fullmatch(request.serial):
            raise typer.BadParameter(serial, param_hint="--serial")
    elif authority:
        request.authority_spki_sha256 = authority.lower().replace(":", "")
        if not _SHA256.fullmatch(request.authority_spki_sha256):
            raise typer.BadParameter(authority, param_hint="--authority")
    elif any(bearer):
        request.bearer.organisation_code = organisation
        request.bearer.system_name, request.bearer.officer = system or officer, bool(officer)
    else:
        request.organisation_code = organisation
    return request


def _on_host(place: Home, request: v1.RevokeCertificatesRequest, reason: str) -> dict[str, object]:
    target = _target(place, request)
    event = Event(kind=revoke.KIND, door="host", detail={**target.told, "cause": reason})
    revoked: list[int] = []

    async def effect(tx: Transaction) -> Event:
        revoke.require_reason(reason)
        done = await revoke.revoke_all(tx, target, reason, SYSTEM.now_us())
        revoked.append(done.certificates)
        counts = {"certificates": done.certificates, "invitations": done.invitations}
        return event.with_(counts=counts)

    entry = host.act(place, event, effect)
    number = asyncio.run(_renew_list(place))
    return {"revoked": revoked[0], "crl_number": number, "leaf": entry.index}


def _target(place: Home, request: v1.RevokeCertificatesRequest) -> Target:
    if request.serial:
        return Target.of_serial(request.serial)
    if request.authority_spki_sha256:
        return revoke.authority_target(place, bytes.fromhex(request.authority_spki_sha256))
    if request.HasField("bearer"):
        named = request.bearer
        kind: SubjectKind = "officer" if named.officer else "sys"
        return Target.of_bearer(Bearer(named.organisation_code, kind, named.system_name))
    return Target.of_organisation(request.organisation_code)


async def _renew_list(place: Home) -> int:
    """Write the revocation list now; the supervisor would within a second."""
    conninfo = roles.conninfo(place, settings.load(place.settings), "administration")
    database = await Database.open(conninfo, application="gateway-host", size=1)
    try:
        rules = policies.load_certificate_rules(place.policies / "certificates.toml")
        return await publish.renew(place, database, rules, SYSTEM)
    finally:
        await database.close()
