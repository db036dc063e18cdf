"""Every rpc of the contract with somebody who may call it and a message that it takes; what each call leaves behind."""

import asyncio
import base64
import contextlib
import json
import secrets
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import grpc
import psycopg
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from google.protobuf.message import Message

from gateway.audit.event import Event
from gateway.clock import US_PER_S
from gateway.config.home import LISTENERS, Listener
from gateway.config.policies import shipped
from gateway.exports import moving
from gateway.policy import activation, bundle, evidence
from gateway.services import contract
from gateway.services.access import Rpc
from gateway.services.health import HealthCheckRequest
from gateway.store import roles
from gateway.v1 import admin_service_pb2 as admin
from gateway.v1 import audit_service_pb2 as audit
from gateway.v1 import break_glass_service_pb2 as glass
from gateway.v1 import certificate_pb2 as certificate
from gateway.v1 import enrolment_service_pb2 as enrolment
from gateway.v1 import export_service_pb2 as export
from gateway.v1 import identity_service_pb2 as identity
from gateway.v1 import upload_service_pb2 as upload
from gateway.v1.types_pb2 import Date, Device, Unit
from tests import former, parted, sealed_rows, vouching
from tests.exports import fetching
from tests.exports.cast import Cast, about
from tests.exports.planted import plant
from tests.papers import fingerprint, invite, new_key, request_for, system
from tests.world import (
    CITY,
    COUNTY,
    OTHER_CITY,
    PASSWORD,
    PROVINCE,
    SECOND_COUNTY,
    UNITS,
    Person,
    RefusedError,
    World,
)

# Less than the shortest `confirmed_within_s` of the contract, and than a token's life.
TOKEN_KEPT_S = 120
WITHOUT_TOKEN = {
    *("Login", "Check", "Diagnose", "RenewCertificate", "Enrol"),
    *("OpenBreakGlass", "ConfirmBreakGlass", "EnterBreakGlass"),
}
UPLOAD = "/gateway.v1.UploadService/UploadBatches"
LOGIN = "/gateway.v1.IdentityService/Login"
WHOAMI = "/gateway.v1.IdentityService/WhoAmI"
OWN_ACTS = frozenset(moving.KINDS.values())
# (door, wire name) of every rpc at every door that serves.
ALL: list[tuple[Listener, str]] = [
    (door, method) for door in LISTENERS for method in contract.rpcs(door)
]
UNARY = [(door, method) for door, method in ALL if method != UPLOAD]
SENDING = {method for door, method in ALL if contract.rpcs(door)[method].sending}
IDS = {case: f"{case[0]}-{case[1].rsplit('/', 1)[1]}" for case in ALL}


def rpc_of(door: Listener, method: str) -> Rpc:
    return contract.rpcs(door)[method]


def new_id() -> str:
    return str(uuid.uuid4())


def a_batch(
    world: World, person: Person, *items: upload.Item, **changes: Any
) -> upload.UploadBatchesRequest:
    """A batch of one scanner, unless items are given."""
    stored = world.sql(
        "SELECT sequence FROM gateway.batch_sequence WHERE unit_code = %s", person.unit
    )
    sequence = stored[0][0] + 1 if stored else 1
    device = Device(
        device_id=f"{person.unit}-S{sequence}",
        unit_code=person.unit,
        type=Device.TYPE_SCANNER,
        commissioned_date=Date(year=2024, month=1, day=2),
        revision=1,
    )
    batch = upload.UploadBatchesRequest(
        request_id=new_id(),
        unit_code=person.unit,
        sequence=sequence,
        schema_version="2026-1",
        client_version="test 1",
        lane=upload.UploadBatchesRequest.LANE_LIVE,
        items=items or [upload.Item(device=device)],
    )
    batch.made_time.FromMicroseconds(world.clock.now_us())
    for name, value in changes.items():
        setattr(batch, name, value)
    return batch


@dataclass(frozen=True)
class Case:
    """Who calls an rpc with success, with what; `wrong` calls it with a role that may not."""

    caller: Callable[[World], Person]
    message: Callable[[World], Message]
    wrong: Callable[[World], Person] | None = None


def _unit() -> Unit:
    return Unit(
        unit_code=UNITS[COUNTY],
        name="unit",
        division_code=COUNTY,
        level=Unit.LEVEL_VACCINATION_UNIT,
        organisation_code=COUNTY,
        active_from_date=Date(year=2020, month=1, day=1),
    )


def _admin(message: Callable[[], Message]) -> Case:
    return Case(lambda w: w.province_admin, lambda _: message(), lambda w: w.auditor)


def _audit(message: Callable[[], Message]) -> Case:
    return Case(lambda w: w.auditor, lambda _: message(), lambda w: w.province_admin)


def _evidence(message: Callable[[World], Message]) -> Case:
    return Case(lambda w: w.county, message, lambda w: w.auditor)


def _own(message: Callable[[], Message]) -> Case:
    return Case(lambda w: w.county, lambda _: message())


def _export(caller: str, message: Callable[[Cast], Message]) -> Case:
    return Case(lambda w: w.cast[caller], lambda w: message(w.cast), lambda w: w.auditor)


def _draft(cast: Cast) -> Message:
    """A plan, those of cases before leaving room for it."""
    cast.forget_drafts()
    return cast.plan()


def _submission(cast: Cast) -> Message:
    """The submission of a draft, its requester having had no plan counted of late."""
    cast.world.sql("DELETE FROM gateway.export_count")
    ticket = plant(cast, 0)
    return about(export.SubmitExportRequest, ticket, plan_sha256=ticket.plan_sha256)


def _leaving(message: Callable[[], Message]) -> Case:
    """The call ends the caller's session: somebody whom no other case needs."""
    return Case(lambda w: w.people[SECOND_COUNTY, "uploader"], lambda _: message())


def _lost(world: World) -> Message:
    """A batch that a restore, of which the log says now, has lost."""
    now_us = world.clock.now_us()
    former.a_restore(world.home, now_us)
    log = former.Former.of(world.home, COUNTY, world.county.unit, now_us)
    return upload.PresentLostReceiptsRequest(request_id=new_id(), receipts=[log.receipt(new_id())])


def _enrol(world: World) -> Message:
    _, code = invite(world, COUNTY, "uploader")
    return enrolment.EnrolRequest(request_id=new_id(), code=code, csr=request_for(new_key()))


def _approve(world: World) -> Message:
    spki = fingerprint(new_key())
    shown = {"needs_approval": True, "state": 2, "spki_sha256": bytes.fromhex(spki)}
    number, _ = invite(world, COUNTY, "uploader", **shown)
    return admin.ApproveEnrolmentRequest(
        request_id=new_id(), invitation_id=number, spki_sha256=spki
    )


def _cancel(world: World) -> Message:
    number, _ = invite(world, COUNTY, "uploader")
    return admin.CancelInvitationRequest(request_id=new_id(), invitation_id=number)


def _revoke(world: World) -> Message:
    """All certificates of a system that has none: the call is whole, and nobody is cut."""
    system(world, COUNTY, "spare")
    bearer = admin.RevokeCertificatesRequest.Bearer(organisation_code=COUNTY, system_name="spare")
    return admin.RevokeCertificatesRequest(
        request_id=new_id(),
        bearer=bearer,
        cause=admin.RevokeCertificatesRequest.CAUSE_CESSATION,
        reason="out of use",
    )


def _seal(world: World) -> Message:
    return glass.SealBreakGlassRequest(request_id=new_id(), officer_names=sealed_rows.people(world))


def _code(world: World) -> Message:
    sealed_rows.sealing(world)
    return glass.RegisterBreakGlassCodeRequest(request_id=new_id())


def _break(world: World) -> Message:
    sealed_rows.sealing(world)
    return glass.OpenBreakGlassRequest(
        request_id=new_id(),
        sealed_credential=sealed_rows.CREDENTIAL,
        reason="everybody is locked out",
        ticket="OPS-1",
    )


def _confirm(world: World) -> Message:
    return glass.ConfirmBreakGlassRequest(
        request_id=new_id(),
        opening_id=sealed_rows.opening(world, "second"),
        secret_code=sealed_rows.CODE,
    )


def _enter(world: World) -> Message:
    digest = world.province_admin.certificate.fingerprint(SHA256())
    opened = sealed_rows.opening(world, "admin", digest=digest, opened=True)
    return glass.EnterBreakGlassRequest(request_id=new_id(), opening_id=opened)


def _close(world: World) -> Message:
    waiting = sealed_rows.opening(world, "second")
    return glass.CloseBreakGlassRequest(request_id=new_id(), opening_id=waiting)


def a_tunnel(organisation: str = COUNTY, address: str = "10.14.1.5/32") -> admin.Tunnel:
    """A peer that nobody registered yet."""
    return admin.Tunnel(
        organisation_code=organisation,
        kind=admin.Tunnel.KIND_WIREGUARD,
        peer=base64.b64encode(secrets.token_bytes(32)).decode(),
        addresses=[address],
    )


def tunnel(world: World, **changes: Any) -> admin.Tunnel:
    """Put a tunnel into the register."""
    made = a_tunnel(**changes)
    world.sql(
        "INSERT INTO gateway.tunnel (kind, peer, organisation, addresses, created_us, changed_us)"
        " VALUES ('wireguard', %s, %s, %s, %s, %s)",
        *(made.peer, made.organisation_code, list(made.addresses)),
        # Now: the door's own duties would tell of one that nobody uses.
        *(world.clock.now_us(),) * 2,
    )
    return made


def _lock(world: World) -> Message:
    made = tunnel(world)
    return admin.SetTunnelStateRequest(
        request_id=new_id(),
        organisation_code=COUNTY,
        kind=made.kind,
        peer=made.peer,
        state=admin.Tunnel.STATE_LOCKED,
        reason="key lost",
    )


def _policies(world: World) -> Message:
    """A bundle that waits for its first signature, another one each time."""
    files = bundle.files(shipped("policies") / "cedar") | {"99-noted.cedar": f"// {new_id()}\n"}
    sha256 = bundle.of_files(files).sha256
    world.sql(
        "INSERT INTO gateway.policy_bundle (sha256, files) VALUES (%s, %s::text::jsonb)",
        *(bytes.fromhex(sha256), json.dumps(files)),
    )
    world.sql(
        "INSERT INTO gateway.policy_proposal (number, sha256, proposed_us, newly_allowed,"
        " newly_denied, replayed, not_replayed)"
        " SELECT max(number) + 1, %s, %s, '{}', '{}', 0, 0 FROM gateway.policy_activation",
        *(bytes.fromhex(sha256), world.clock.now_us()),
    )
    [[number]] = world.sql("SELECT max(number) + 1 FROM gateway.policy_activation")
    detail = evidence.proposed(number, sha256, evidence.Wait(world.clock.now_us(), 120))
    told = Event(kind=evidence.PROPOSE, door="host", detail=detail).to_leaf(world.clock.now_us())
    with psycopg.connect(roles.conninfo(world.home, world.settings, "administration")) as host:
        append = "SELECT gateway.audit_append(%s, (SELECT size FROM gateway.audit_head))"
        host.execute(append, [[told]])
    signed = world.people[PROVINCE, "song"].key.sign(
        activation.statement(number, sha256), ec.ECDSA(SHA256())
    )
    return admin.ApprovePoliciesRequest(request_id=new_id(), sha256=sha256, signature=signed)


def _officers(message: Callable[[World], Message]) -> Case:
    return Case(lambda w: w.people[PROVINCE, "song"], message, lambda w: w.province_admin)


CASES: dict[str, Case] = {
    "GetPolicies": _officers(lambda _: admin.GetPoliciesRequest()),
    "ApprovePolicies": _officers(_policies),
    "SealBreakGlass": Case(lambda w: w.province_admin, _seal, lambda w: w.auditor),
    "RegisterBreakGlassCode": Case(lambda w: w.province_admin, _code, lambda w: w.auditor),
    "OpenBreakGlass": Case(lambda w: w.province_admin, _break),
    "ConfirmBreakGlass": Case(lambda w: w.province_admin, _confirm),
    "EnterBreakGlass": Case(lambda w: w.province_admin, _enter),
    "CloseBreakGlass": Case(lambda w: w.province_admin, _close, lambda w: w.auditor),
    "GetBreakGlass": _admin(admin.GetBreakGlassRequest),
    "Diagnose": _own(identity.DiagnoseRequest),
    "RenewCertificate": _own(
        lambda: identity.RenewCertificateRequest(request_id=new_id(), csr=request_for(new_key()))
    ),
    "Enrol": Case(lambda w: w.county, _enrol),
    "InviteCertificate": _admin(
        lambda: admin.InviteCertificateRequest(
            request_id=new_id(),
            organisation_code=COUNTY,
            system_name="uploader",
            purpose=certificate.CERTIFICATE_PURPOSE_TLS,
        )
    ),
    "ApproveEnrolment": Case(lambda w: w.province_admin, _approve, lambda w: w.auditor),
    "CancelInvitation": Case(lambda w: w.province_admin, _cancel, lambda w: w.auditor),
    "ListInvitations": _admin(admin.ListInvitationsRequest),
    "RevokeCertificates": Case(lambda w: w.province_admin, _revoke, lambda w: w.auditor),
    "ListCertificates": _admin(admin.ListCertificatesRequest),
    "AddTunnel": _admin(lambda: admin.AddTunnelRequest(request_id=new_id(), tunnel=a_tunnel())),
    "ListTunnels": _admin(admin.ListTunnelsRequest),
    "SetTunnelState": Case(lambda w: w.province_admin, _lock, lambda w: w.auditor),
    "SetRelation": _admin(
        lambda: admin.SetRelationRequest(
            request_id=new_id(),
            relation=admin.Relation(
                organisation_code=SECOND_COUNTY,
                relative_code=CITY,
                kind=admin.Relation.KIND_USES_TUNNEL_OF,
            ),
            reason="one line for both",
        )
    ),
    "Login": _own(lambda: identity.LoginRequest(account_name="uploader", password=PASSWORD)),
    "RefreshToken": _own(identity.RefreshTokenRequest),
    "Logout": _leaving(identity.LogoutRequest),
    "ChangePassword": _leaving(
        lambda: identity.ChangePasswordRequest(
            request_id=new_id(), old_password=PASSWORD, new_password="Violet-Anchor-Hums-93"
        )
    ),
    "RotateSecret": Case(
        lambda w: w.people[SECOND_COUNTY, "uploader"],
        lambda _: identity.RotateSecretRequest(
            request_id=new_id(), old_secret=PASSWORD, new_secret=secrets.token_urlsafe(32)
        ),
        lambda w: w.auditor,
    ),
    "Confirm": _own(lambda: identity.ConfirmRequest(password=PASSWORD)),
    "WhoAmI": _own(identity.WhoAmIRequest),
    "Check": _own(HealthCheckRequest),
    "UploadBatches": _evidence(lambda w: a_batch(w, w.county)),
    "GetReceipt": _evidence(lambda w: upload.GetReceiptRequest(request_id=w.receipt_id)),
    "ListQuarantine": _evidence(lambda _: upload.ListQuarantineRequest()),
    "PresentLostReceipts": _evidence(_lost),
    "CreateOrganisation": _admin(
        lambda: admin.CreateOrganisationRequest(
            request_id=new_id(),
            organisation=admin.Organisation(
                organisation_code="140107",
                name="a county",
                kind=admin.Organisation.KIND_COUNTY,
                parent_organisation_code=CITY,
            ),
        )
    ),
    "ListOrganisations": _admin(admin.ListOrganisationsRequest),
    "SetOrganisationState": _admin(
        lambda: admin.SetOrganisationStateRequest(
            request_id=new_id(),
            organisation_code="140212",
            state=admin.Organisation.STATE_ACTIVE,
            reason="as before",
        )
    ),
    "CreateSystem": _admin(
        lambda: admin.CreateSystemRequest(
            request_id=new_id(), organisation_code=COUNTY, system_name="second"
        )
    ),
    "RegisterUnits": _admin(
        lambda: admin.RegisterUnitsRequest(request_id=new_id(), units=[_unit()])
    ),
    "ListUnits": _admin(admin.ListUnitsRequest),
    "CreateAccount": _admin(
        lambda: admin.CreateAccountRequest(
            request_id=new_id(),
            organisation_code=COUNTY,
            account_name=f"clerk-{uuid.uuid4().hex[:8]}",
            roles=[1],
            system_name="uploader",
        )
    ),
    "ResetPassword": _admin(
        lambda: admin.ResetPasswordRequest(
            request_id=new_id(),
            organisation_code=OTHER_CITY,
            account_name="uploader",
            reason="forgotten",
        )
    ),
    "SetAccountRoles": _admin(
        lambda: admin.SetAccountRolesRequest(
            request_id=new_id(),
            organisation_code=OTHER_CITY,
            account_name="uploader",
            roles=[1],
            reason="as before",
        )
    ),
    "SetAccountState": _admin(
        lambda: admin.SetAccountStateRequest(
            request_id=new_id(),
            organisation_code=OTHER_CITY,
            account_name="uploader",
            state=admin.Account.STATE_ACTIVE,
            reason="as before",
        )
    ),
    "UnlockAccount": _admin(
        lambda: admin.UnlockAccountRequest(
            request_id=new_id(),
            organisation_code=OTHER_CITY,
            account_name="uploader",
            reason="a forgotten script",
        )
    ),
    "ListAccounts": _admin(admin.ListAccountsRequest),
    "DraftExport": _export("lian", _draft),
    "SubmitExport": _export("lian", _submission),
    "WithdrawExport": _export("lian", lambda c: about(export.WithdrawExportRequest, plant(c, 0))),
    "ApproveExport": _export("zhao", lambda c: c.signed(plant(c, 1), c["zhao"])),
    "DenyExport": _export("zhao", lambda c: about(export.DenyExportRequest, plant(c, 1))),
    "RevokeExport": _export("suny", lambda c: about(export.RevokeExportRequest, plant(c, 3))),
    "HoldExport": _export("song", lambda c: about(export.HoldExportRequest, plant(c, 3))),
    "UnholdExport": _export(
        "zhao", lambda c: about(export.UnholdExportRequest, plant(c, 3, held=True))
    ),
    "RecallExport": _export("song", lambda c: about(export.RecallExportRequest, plant(c, 8))),
    "DownloadExport": _export("wang", fetching.a_download),
    "ReceiveExport": _export("wang", fetching.a_receipt),
    "ReleaseExport": _export("wang", fetching.a_release),
    "AcknowledgeExport": _export(
        "wang",
        lambda c: about(export.AcknowledgeExportRequest, plant(c, 8), manifest_sha256="34" * 32),
    ),
    "AttestDestruction": _export("wang", lambda c: fetching.destroyed(c, plant(c, 9))),
    "GetExport": _export(
        "lian", lambda c: export.GetExportRequest(ticket_id=plant(c, 0).ticket_id)
    ),
    "ListExports": _export("wang", lambda _: export.ListExportsRequest()),
    "SearchLeaves": _audit(audit.SearchLeavesRequest),
    "GetLeaf": _audit(lambda: audit.GetLeafRequest(index=0)),
    "GetLogFile": _audit(lambda: audit.GetLogFileRequest(path="tile/entries/000.p/1")),
    "GetSealedPart": Case(
        lambda w: w.auditor,
        lambda w: audit.GetSealedPartRequest(index=parted.a_part(w)[0]),
        lambda w: w.province_admin,
    ),
    "GetCheckpoint": _own(audit.GetCheckpointRequest),
    "GetConsistencyProof": _own(audit.GetConsistencyProofRequest),
    "GetWitnessing": _own(audit.GetWitnessingRequest),
    "AddCosignatures": Case(lambda w: w.county, vouching.a_cosignature),
    "RegisterWitness": _admin(vouching.a_registration),
    "EndWitness": Case(lambda w: w.province_admin, vouching.an_end, lambda w: w.auditor),
}


def case_of(method: str) -> Case:
    return CASES[method.rsplit("/", 1)[1]]


class Watch:
    """Counts the leaves that a call leaves: all but those of the logins before it.

    What is refused from now on has its full measure of leaves: what tests before it used up is there again.
    """

    def __init__(self, world: World) -> None:
        self._world = world
        self._begin = world.size()
        for door in world.doors.values():
            for serving in door.serving:
                serving.guard._checks.limits._refusals._levels.clear()

    async def leaves(self) -> list[dict[str, Any]]:
        """The leaves since, once the door has nothing under way."""
        for door in self._world.doors.values():
            for serving in door.serving:
                await serving.guard.idle(5)
                await serving.guard.settle()
        # A test that turned the clock back has the recorder say so.
        return [leaf for leaf in self._world.leaves(self._begin) if leaf["kind"] != "log.clock"]

    async def calls(self) -> list[dict[str, Any]]:
        """The same without what the disclosure door does of itself with the tickets it finds."""
        return [leaf for leaf in await self.leaves() if leaf["kind"] not in OWN_ACTS]

    async def only_leaf(self) -> dict[str, Any]:
        # A stream that was sent says how it ended, too; test_export_delivery looks at that.
        leaves = [leaf for leaf in await self.calls() if leaf["kind"] != "export.end"]
        assert len(leaves) == 1, leaves
        return leaves[0]


async def token_for(world: World, method: str, person: Person) -> str:
    """A token where the rpc wants one: one for all calls of a person, but where the call ends its session."""
    name = method.rsplit("/", 1)[1]
    if name in WITHOUT_TOKEN:
        return ""
    if name in ("Logout", "ChangePassword") or (name, person.account) == (
        "RotateSecret",
        "uploader",
    ):
        restore_password(world, person)
        return await world.login(person)
    return await kept_token(world, person)


async def kept_token(world: World, person: Person) -> str:
    """The one token of all calls of a person, while its password is shown lately enough for calls that weigh."""
    whose, now_us = str(person.subject), world.clock.now_us()
    made_us = world.tokens_us.get(whose, 0)
    if whose not in world.tokens or not 0 <= now_us - made_us < us(TOKEN_KEPT_S):
        world.tokens[whose] = await world.login(person)
        world.tokens_us[whose] = now_us
    return world.tokens[whose]


def restore_password(world: World, person: Person) -> None:
    """Undo a change of password: PASSWORD again, two days old, with no history and no other secret."""
    world.sql("DELETE FROM gateway.other_secret")
    [(stored,)] = world.sql(
        "SELECT password_hash FROM gateway.account WHERE organisation = %s AND name = %s",
        *(world.city.organisation, world.city.account),
    )
    world.sql(
        "UPDATE gateway.account SET password_hash = %s, history = '{}', must_change = false,"
        " password_set_us = created_us - 172800000000, password_expires_us = created_us + 7603200000000"
        " WHERE organisation = %s AND name = %s",
        *(stored, person.organisation, person.account),
    )
    world.clock.turn(seconds=0.3)


async def a_receipt(world: World) -> str:
    """The request id of a batch of the county."""
    known = world.sql("SELECT request_id::text FROM gateway.batch WHERE organisation = %s", COUNTY)
    if known:
        return str(known[0][0])
    batch = a_batch(world, world.county)
    token = await token_for(world, UPLOAD, world.county)
    await call(world, "intake", UPLOAD, world.county, batch, token)
    return batch.request_id


async def send(
    world: World,
    door: Listener,
    method: str,
    person: Person,
    messages: list[bytes],
    *,
    token: str = "",
    timeout: float | None = 20,  # noqa: ASYNC109  the deadline that the call carries
    **found: Any,
) -> bytes:
    """Send raw messages and return the first reply's bytes; raises RefusedError."""
    if door == "disclosure":
        # Plans name the tunnel as the real front does.
        found.setdefault("origin", world.cast.origin(person.organisation))
    channel = await world.channel(person, door, **found)
    metadata = (("authorization", f"Bearer {token}"),) if token else ()
    try:
        if method in SENDING:
            opened = channel.stream_stream(method)
            stream = opened(iter(messages), metadata=metadata, timeout=timeout)
            return b"".join([bytes(reply) async for reply in stream])
        opened = channel.stream_unary(method)
        return bytes(await opened(iter(messages), metadata=metadata, timeout=timeout))
    except grpc.aio.AioRpcError as error:
        raise RefusedError(error) from None


async def call(
    world: World, door: Listener, method: str, person: Person, message: Message, token: str
) -> bytes:
    """Make one good call of whatever shape."""
    return await send(world, door, method, person, [message.SerializeToString()], token=token)


def us(seconds: float) -> int:
    return round(seconds * US_PER_S)


async def refused(coroutine: Any) -> RefusedError:
    """Await a call that must be refused."""
    try:
        reply = await coroutine
    except RefusedError as error:
        return error
    raise AssertionError(f"was answered: {reply!r}")


async def eventually(condition: Callable[[], Any], seconds: float = 20) -> None:
    """Wait until a condition, or what a coroutine function returns, is true: a foreign state tells nobody."""
    async with asyncio.timeout(seconds):
        while True:
            found = condition()
            if await found if asyncio.iscoroutine(found) else found:
                return
            await asyncio.sleep(0.005)


@contextlib.contextmanager
def locked_head(world: World) -> Iterator[None]:
    """Hold the head of the log: until the end of the block nothing can be committed."""
    with psycopg.connect(roles.conninfo(world.home, world.settings, "owner")) as connection:
        connection.execute("SELECT size FROM gateway.audit_head FOR UPDATE")
        yield
        connection.rollback()
