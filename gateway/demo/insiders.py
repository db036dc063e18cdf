"""What insiders try: with true certificates, passwords or the database's own keys."""

import asyncio
import json
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

from cryptography import x509

from gateway.client import profile as profiles
from gateway.client.client import Client
from gateway.client.profile import Profile
from gateway.client.upload import Upload
from gateway.client.verify import Sent
from gateway.config.folders import write_private
from gateway.demo import province as provinces
from gateway.demo import strangers
from gateway.demo.host import HostError
from gateway.demo.province import Member, Province
from gateway.demo.uploading import Findings, batches, records
from gateway.errors import Refusal
from gateway.pki import register
from gateway.sample.family import Family
from gateway.sample.units import centre_code
from gateway.store.database import Database, StoreError
from gateway.store.roles import conninfo
from gateway.v1 import identity_service_pb2 as identity
from gateway.v1.identity_service_pb2_grpc import IdentityServiceStub

ACCEPTED = "accepted"
VERIFIED = "verified"
_PACE_S = 0.05
# A revocation cuts live connections within a second; the client then retries and learns nothing
# new.
_PATIENCE_S = 2.0
# Enough small batches that the upload still runs when the revocation comes.
_ROUNDS, _SMALL_BATCH = 200, 5


async def reason_of(attempt: Awaitable[object]) -> str:
    """Return the reason of the refusal that an attempt meets, or ACCEPTED."""
    try:
        await attempt
    except Refusal as refusal:
        return refusal.reason.value
    return ACCEPTED


async def stolen_token(province: Province, owner: str, thief: str) -> str:
    """Use one county's token over another county's true connection."""
    member, other = province.members[owner], province.members[thief]
    channels, own = other.channels(), member.channels()
    try:
        token = await member.session(own).token()
        stub = IdentityServiceStub(channels.to("identity"))
        return await reason_of(channels.call(stub.WhoAmI, identity.WhoAmIRequest(), token.secret))
    finally:
        await channels.close()
        await own.close()


async def foreign_unit(province: Province, code: str, unit: str, family: Family) -> str:
    """Upload for a unit that is neither own nor below."""
    return await reason_of(_send(province.members[code], unit, [family]))


async def expired_password(province: Province, code: str, family: Family) -> str:
    """Let a password and its grace end by the database owner's hand, then upload; mend it."""
    member = province.members[code]
    change = (
        "UPDATE gateway.account SET password_expires_us = password_expires_us + %s"
        " WHERE organisation = %s AND name = %s"
    )
    year_us = 365 * 24 * 3600 * 1_000_000
    account = (code, member.profile.remote.account)
    await as_owner(province, (change, (-year_us, *account)))
    try:
        return await reason_of(_send(member, centre_code(code), [family]))
    finally:
        await as_owner(province, (change, (year_us, *account)))


async def revoked_before(province: Province, code: str) -> Profile:
    """Return a profile whose certificate was issued and then revoked."""
    name = province.members[code].profile.remote.account
    folder = await asyncio.to_thread(provinces.certificate, province.host, code, name, "--system")
    await asyncio.to_thread(revoke, province, folder / "certificate.pem")
    return _with(province.members[code].profile, folder)


async def expired_before(province: Province, code: str) -> Profile:
    """Return a profile whose certificate is registered and ended a minute ago."""
    papers = strangers.expired(province, code)
    folder = province.host.home.root / "issued" / f"{code}-expired"
    folder.mkdir(mode=0o700, parents=True)
    (folder / "certificate.pem").write_bytes(papers.certificate)
    write_private(folder / "key.pem", papers.key)
    certificate = x509.load_pem_x509_certificate(papers.certificate)
    async with owner(province) as database, database.transaction() as tx:
        await register.insert(tx, certificate, strangers.subject_of(province, code))
    return _with(province.members[code].profile, folder)


async def told(province: Province, code: str, profile: Profile) -> str:
    """Ask with a certificate that has a defect: it is let in, told so, and served nothing."""
    channels = replace(province.members[code], profile=profile).channels()
    try:
        stub = IdentityServiceStub(channels.to("identity"))
        return await reason_of(channels.call_once(stub.WhoAmI, identity.WhoAmIRequest()))
    finally:
        await channels.close()


async def revoked_meanwhile(
    province: Province, code: str, families: list[Family]
) -> tuple[str, float]:
    """Revoke a certificate while it uploads.

    Returns how the upload ended and how many seconds after the revocation the last answer came.
    """
    member = province.members[code]
    name = member.profile.remote.account
    folder = await asyncio.to_thread(provinces.certificate, province.host, code, name, "--system")
    guest = replace(member, profile=_with(member.profile, folder))
    clock = asyncio.get_running_loop().time
    answered: list[float] = []
    endless = batches(centre_code(code), records(families * _ROUNDS), items_max=_SMALL_BATCH)
    task = asyncio.create_task(
        reason_of(_pour(guest, endless, lambda _count: answered.append(clock())))
    )
    while not answered and not task.done():  # noqa: ASYNC110  the list also keeps the times
        await asyncio.sleep(_PACE_S)
    await asyncio.to_thread(revoke, province, folder / "certificate.pem")
    revoked_at = clock()
    ended = await task
    return ended, max(0.0, answered[-1] - revoked_at) if answered else 0.0


def revoke(province: Province, certificate: Path) -> None:
    """Revoke a certificate on the host."""
    serial = x509.load_pem_x509_certificate(certificate.read_bytes()).serial_number
    home = str(province.host.home.root)
    province.host.run(
        "certificate", "revoke", home, "--serial", f"{serial:x}", "--reason", "cessation"
    )


async def edited_leaf(province: Province, index: int, folder: Path) -> tuple[bool, str]:
    """Edit a leaf as the database's owner.

    Returns whether the plain UPDATE was refused, and what the verifier says after the owner
    switched the trigger off and edited it all the same. The leaf is put back afterwards.
    """
    edit = ("UPDATE gateway.audit_entry SET leaf = leaf || %s WHERE idx = %s", (b" ", index))
    back = (
        "UPDATE gateway.audit_entry SET leaf = substr(leaf, 1, length(leaf) - 1) WHERE idx = %s",
        (index,),
    )
    try:
        await as_owner(province, edit)
        refused = False
    except StoreError:
        refused = True
    off = ("ALTER TABLE gateway.audit_entry DISABLE TRIGGER audit_entry_append_only", ())
    on = ("ALTER TABLE gateway.audit_entry ENABLE TRIGGER audit_entry_append_only", ())
    await as_owner(province, off, edit, on)
    try:
        found = await asyncio.to_thread(export_and_verify, province, folder)
    finally:
        await as_owner(province, off, back, on)
    return refused, found


def truncated_log(exported: Path, folder: Path) -> str:
    """Cut the last bundle off a copy of the exported log; return what the verifier says."""
    shutil.copytree(exported, folder)
    bundles = [path for path in (folder / "tile" / "entries").rglob("*") if path.is_file()]
    last = max(bundles)
    last.write_bytes(last.read_bytes()[:-1])
    return verify(folder)


def export_and_verify(province: Province, folder: Path) -> str:
    """Export the log into a fresh folder and verify it with no server; return VERIFIED or the code.

    An export that notices the damage itself refuses; its code is returned.
    """
    home = str(province.host.home.root)
    return refused("audit", "export", home, str(folder)) or verify(folder)


def verify(folder: Path) -> str:
    """Run `gateway audit verify` on an exported log; return VERIFIED or the code of the failure."""
    return refused("audit", "verify", str(folder)) or VERIFIED


def refused(*arguments: str) -> str:
    """Run a command with --json and return the code it refuses with, "" when it is done."""
    command = [sys.executable, "-m", "gateway", *arguments, "--json", "--lang", "en"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode == 0:
        return ""
    try:
        document = json.loads(done.stdout)
    except ValueError:
        raise HostError(f"gateway {arguments[0]}: {done.stdout}{done.stderr}") from None
    failures = document.get("failures") or [{}]
    return str(document.get("refused") or failures[0].get("code"))


async def _send(member: Member, unit: str, families: list[Family]) -> Findings:
    return await _pour(member, batches(unit, records(families)), lambda _count: None)


async def _pour(member: Member, waiting: Iterator[Sent], told: Callable[[int], None]) -> Findings:
    findings = Findings(told)
    async with Client(member.profile, password=lambda: member.password) as client:
        await Upload(client, waiting, findings, patience_s=_PATIENCE_S).run()
    if findings.refusals:
        raise findings.refusals[0]
    return findings


async def as_owner(province: Province, *statements: tuple[str, tuple[object, ...]]) -> None:
    """Run statements in one transaction as the owner of the schema."""
    async with owner(province) as database, database.transaction() as tx:
        for sql, parameters in statements:
            await tx.execute(sql, parameters)


@asynccontextmanager
async def owner(province: Province) -> AsyncIterator[Database]:
    """Give the database as the owner of the schema has it."""
    host = province.host
    where = conninfo(host.home, host.settings, "owner")
    database = await Database.open(where, application="demo", size=1)
    try:
        yield database
    finally:
        await database.close()


def _with(profile: Profile, folder: Path) -> Profile:
    """Return a copy of a profile with the certificate and key in `folder`."""
    return profiles.write(
        folder / "profile",
        profile.remote,
        key=(folder / "key.pem").read_bytes(),
        certificate=(folder / "certificate.pem").read_bytes(),
        root=profile.root.read_bytes(),
    )
