"""`gateway certificate invite|approve|cancel|invitations`: who may enrol, over the network.

The invitation's line is printed once and handed over outside the system.
"""

from typing import Annotated

import typer

from gateway.cli.connected import ProfileOption, connected, load
from gateway.cli.output import JsonOption, LangOption, Output
from gateway.cli.paging import PAGE, document, documents, every, new_id
from gateway.cli.tables import table
from gateway.client import papers
from gateway.client.client import Client
from gateway.client.invitation import Invitation
from gateway.client.profile import DEFAULT_NAME
from gateway.client.secret import Secret
from gateway.v1 import admin_service_pb2 as v1
from gateway.v1 import certificate_pb2

Organisation = Annotated[str, typer.Option("--organisation", help="certificate.organisation")]
OfOrganisation = Annotated[str, typer.Option("--organisation", help="certificate.of")]
System = Annotated[str, typer.Option("--system", help="certificate.system")]
Officer = Annotated[str, typer.Option("--officer", help="certificate.officer")]
Purpose = Annotated[
    str, typer.Option("--purpose", help="invitation.purpose", metavar="tls|encryption")
]
Approval = Annotated[bool, typer.Option("--approval", help="invitation.approval")]
Host = Annotated[str, typer.Option("--host", help="invitation.host")]
Id = Annotated[str, typer.Argument(metavar="INVITATION", help="invitation.id")]
Fingerprint = Annotated[str, typer.Argument(metavar="FINGERPRINT", help="invitation.fingerprint")]
_PURPOSES = {
    "tls": certificate_pb2.CERTIFICATE_PURPOSE_TLS,
    "encryption": certificate_pb2.CERTIFICATE_PURPOSE_ENCRYPTION,
}


def add(noun: typer.Typer) -> None:
    """Add the commands below `certificate`."""
    noun.command("invite", help="invitation.invite.help")(invite)
    noun.command("approve", help="invitation.approve.help")(approve)
    noun.command("cancel", help="invitation.cancel.help")(cancel)
    noun.command("invitations", help="invitation.list.help")(list_all)


def invite(  # noqa: PLR0913, PLR0917  one parameter per option
    organisation: Organisation,
    system: System = "",
    officer: Officer = "",
    purpose: Purpose = "tls",
    approval: Approval = False,
    host: Host = "",
    profile: ProfileOption = DEFAULT_NAME,
    json: JsonOption = False,
    lang: LangOption = "",
) -> None:
    """Invite a registered system or officer to enrol."""
    output, found = Output.of(json, lang), load(profile)
    request = _request(organisation, system, officer, purpose)
    request.needs_approval = approval

    async def work(client: Client) -> v1.InviteCertificateResponse:
        return await client.call(client.admin.InviteCertificate, request)

    answer = connected(output, found, work)
    line = Invitation(
        host or found.remote.host,
        found.remote.ports.enrolment,
        found.remote.trust_domain,
        Secret(answer.code),
        answer.root_sha256,
    ).line()
    told: dict[str, object] = {
        "invitation_id": answer.invitation_id,
        "invitation": line,
        "expires": answer.expire_time.ToJsonString(),
    }
    output.result(told, output.text("invitation.invited", **told))


def _request(
    organisation: str, system: str, officer: str, purpose: str
) -> v1.InviteCertificateRequest:
    if bool(system) == bool(officer):
        raise typer.BadParameter("--system | --officer")
    if purpose not in _PURPOSES:
        raise typer.BadParameter("tls | encryption", param_hint="--purpose")
    return v1.InviteCertificateRequest(
        request_id=new_id(),
        organisation_code=organisation,
        system_name=system or officer,
        officer=bool(officer),
        purpose=_PURPOSES[purpose],
    )


def approve(
    invitation: Id,
    fingerprint: Fingerprint,
    profile: ProfileOption = DEFAULT_NAME,
    json: JsonOption = False,
    lang: LangOption = "",
) -> None:
    """Confirm the key of an invitation: its fingerprint was compared with whoever holds it."""
    output, found = Output.of(json, lang), load(profile)
    request = v1.ApproveEnrolmentRequest(
        request_id=new_id(), invitation_id=invitation, spki_sha256=digits(fingerprint)
    )

    async def work(client: Client) -> v1.ApproveEnrolmentResponse:
        return await client.call(client.admin.ApproveEnrolment, request)

    answer = connected(output, found, work).invitation
    output.result(document(answer), output.text("invitation.approved", id=invitation))


def digits(fingerprint: str) -> str:
    """Return a fingerprint as it was read aloud, without what parts its groups."""
    return "".join(character for character in fingerprint.lower() if character not in ": -")


def cancel(
    invitation: Id,
    profile: ProfileOption = DEFAULT_NAME,
    json: JsonOption = False,
    lang: LangOption = "",
) -> None:
    """Make an invitation void."""
    output, found = Output.of(json, lang), load(profile)
    request = v1.CancelInvitationRequest(request_id=new_id(), invitation_id=invitation)

    async def work(client: Client) -> v1.CancelInvitationResponse:
        return await client.call(client.admin.CancelInvitation, request)

    answer = connected(output, found, work).invitation
    output.result(document(answer), output.text("invitation.cancelled", id=invitation))


def list_all(
    organisation: OfOrganisation = "",
    profile: ProfileOption = DEFAULT_NAME,
    json: JsonOption = False,
    lang: LangOption = "",
) -> None:
    """List invitations; a code is never shown again."""
    output, found = Output.of(json, lang), load(profile)

    async def work(client: Client) -> list[v1.Invitation]:
        async def ask(token: str) -> v1.ListInvitationsResponse:
            request = v1.ListInvitationsRequest(
                page_size=PAGE, page_token=token, organisation_code=organisation
            )
            return await client.call(client.admin.ListInvitations, request)

        return await every(ask, lambda answer: answer.invitations)

    invitations = connected(output, found, work)
    columns = ("organisation", "subject", "purpose", "state", "expires", "fingerprint", "id")
    headers = [output.text(f"invitation.column.{column}") for column in columns]
    human = table(headers, [_row(output, one) for one in invitations])
    output.result({"invitations": documents(invitations)}, human)


def _row(output: Output, one: v1.Invitation) -> tuple[str, ...]:
    state = v1.Invitation.State.Name(one.state).removeprefix("STATE_").lower()
    purpose = certificate_pb2.CertificatePurpose.Name(one.purpose)
    return (
        one.organisation_code,
        f"{'officer' if one.officer else 'sys'}/{one.system_name}",
        output.text(f"certificate.purpose.{purpose.removeprefix('CERTIFICATE_PURPOSE_').lower()}"),
        output.text(f"invitation.state.{state}"),
        one.expire_time.ToJsonString(),
        papers.grouped(one.spki_sha256),
        one.invitation_id,
    )
