"""Keys, certificate requests and invitations that tests make for themselves."""

import hashlib
import secrets
import uuid
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from gateway.pki import confirmation, invitation, keys
from gateway.pki.confirmation import Confirmation
from gateway.pki.invitation import Officer
from gateway.pki.proof import MADE, Proofs
from gateway.store import roles
from gateway.store.database import Database

SECOND = Officer("140000", "second", "second")
# What an invitation's proof is over, in its order.
STATED = (
    *("id", "code_sha256", "organisation", "subject_kind", "subject_name", "purpose"),
    *("needs_approval", "created_us", "expires_us", "inviter_organisation", "inviter"),
    "inviter_person",
)


def new_key() -> ec.EllipticCurvePrivateKey:
    """Return a fresh key of the profile."""
    return ec.generate_private_key(ec.SECP256R1())


def request_for(key: Any, *extensions: x509.ExtensionType) -> bytes:
    """Return a certificate request (PKCS #10, DER) signed with this key."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "anything")])
    builder = x509.CertificateSigningRequestBuilder().subject_name(name)
    for extension in extensions:
        builder = builder.add_extension(extension, critical=True)
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.DER)


def fingerprint(key: Any) -> str:
    """Return the SHA-256 of a key's SubjectPublicKeyInfo, hex."""
    return keys.spki_sha256(key.public_key()).hex()


def invite(world: Any, organisation: str, name: str, **columns: Any) -> tuple[str, str]:
    """Enter an invitation as a door does and return its id and code; `columns` replace what stands in it."""
    code, now_us = invitation.new_code(), world.clock.now_us()
    row = {
        "id": str(uuid.UUID(bytes=secrets.token_bytes(16), version=4)),
        "code_sha256": hashlib.sha256(code.encode()).digest(),
        "organisation": organisation,
        "subject_kind": "sys",
        "subject_name": name,
        "purpose": 1,
        "needs_approval": False,
        "created_us": now_us,
        "expires_us": now_us + 86_400_000_000,
        "inviter_organisation": "140000",
        "inviter": "somebody",
        "inviter_person": "somebody",
        **columns,
    }
    stated = [row[column] for column in STATED]
    stated[1] = stated[1].hex()
    row["proof"] = Proofs.load(world.home, "administration").of(MADE, *stated)
    places = ", ".join(["%s"] * len(row))
    world.sql(f"INSERT INTO gateway.invitation ({', '.join(row)}) VALUES ({places})", *row.values())
    return row["id"], code


def system(world: Any, organisation: str, name: str, kind: str = "sys") -> None:
    """Register a system, or an officer, as the owner; once."""
    world.sql(
        "INSERT INTO gateway.system (organisation, kind, name, state, created_us)"
        " VALUES (%s, %s, %s, 1, 1) ON CONFLICT DO NOTHING",
        *(organisation, kind, name),
    )


async def confirm(world: Any, number: str, key: Any, officer: Officer = SECOND) -> None:
    """Confirm an invitation's key as another officer does through the door."""
    conninfo = roles.conninfo(world.home, world.settings, "administration")
    database = await Database.open(conninfo, application="second", size=1)
    proofs = Proofs.load(world.home, "administration")
    wanted = Confirmation(number, bytes.fromhex(fingerprint(key)), officer)
    try:
        async with database.transaction() as tx:
            await confirmation.confirm(tx, wanted, proofs, world.clock.now_us())
    finally:
        await database.close()
