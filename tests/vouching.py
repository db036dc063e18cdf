"""Witnesses for the tests: keys that are registered, checkpoints that are offered, lines upon them."""

import secrets
import uuid
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from gateway.client import profile as profiles
from gateway.client.profile import Profile, Remote
from gateway.names import DEFAULT_TRUST_DOMAIN
from gateway.pki import ceremony
from gateway.tlog.checkpoint import Checkpoint
from gateway.tlog.cosignature import ED25519, Cosigner
from gateway.tlog.note import split
from gateway.v1 import audit_service_pb2 as audit
from tests.people import COUNTY, Person


def a_cosigner(kind: int = ED25519) -> Cosigner:
    """A witness's keys that nobody knows yet."""
    return Cosigner("gateway.invalid/witness/test", kind, secrets.token_bytes(32))


def enter(world: Any, cosigner: Cosigner, organisation: str = COUNTY) -> Cosigner:
    """Put a witness into the register."""
    key = cosigner.key
    world.sql(
        "INSERT INTO gateway.witness (vkey, public_key, key_id, name, organisation, registered_us)"
        " VALUES (%s, %s, %s, %s, %s, %s)",
        *(str(key), key.public, key.key_id.hex(), key.name, organisation, world.clock.now_us()),
    )
    return cosigner


def offered(world: Any) -> tuple[int, str]:
    """Size and note of the checkpoint that is offered now, made up where none is."""
    rows = world.sql("SELECT size, note FROM gateway.offered_checkpoint ORDER BY size DESC LIMIT 1")
    if rows:
        return rows[0]
    note = world.doors["administration"].recorder.newest_checkpoint
    size = int(note.split("\n")[1])
    world.sql(
        "INSERT INTO gateway.offered_checkpoint (size, note, offered_us) VALUES (%s, %s, %s)",
        *(size, note, world.clock.now_us()),
    )
    return size, note


def a_line(cosigner: Cosigner, note: str, time_s: int) -> str:
    """The witness's line upon a note."""
    return cosigner.line(split(note)[0], time_s)


def a_cosignature(world: Any) -> audit.AddCosignaturesRequest:
    """A new witness of the county and its line upon the checkpoint that is offered."""
    cosigner = enter(world, a_cosigner())
    size, note = offered(world)
    line = a_line(cosigner, note, world.clock.now_us() // 1_000_000)
    return audit.AddCosignaturesRequest(
        request_id=str(uuid.uuid4()), size=size, cosignatures=[line]
    )


def a_registration() -> audit.RegisterWitnessRequest:
    """A witness of the county that nobody knows yet."""
    return audit.RegisterWitnessRequest(
        request_id=str(uuid.uuid4()), organisation_code=COUNTY, vkey=str(a_cosigner().key)
    )


def an_end(world: Any) -> audit.EndWitnessRequest:
    """The end of a witness of the county."""
    key = enter(world, a_cosigner()).key
    return audit.EndWitnessRequest(
        request_id=str(uuid.uuid4()),
        organisation_code=COUNTY,
        key_id=key.key_id.hex(),
        reason="key lost",
    )


def another_head(note: str) -> str:
    """The text of a checkpoint of the same size with another root."""
    origin, size, *_ = note.split("\n")
    return Checkpoint(origin, int(size), secrets.token_bytes(32)).text()


def profile(world: Any, person: Person, folder: Path) -> Profile:
    """The profile of a person whose own tunnel leads to the front."""
    remote = Remote(
        world.address_of(person.organisation),
        DEFAULT_TRUST_DOMAIN,
        DEFAULT_TRUST_DOMAIN,
        person.organisation,
        person.account,
        world.home.log_key.read_text(encoding="utf-8").strip(),
        world.settings.ports,
    )
    key = person.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    paper, root = ceremony.pem(person.certificate), world.home.root_certificate.read_bytes()
    return profiles.write(folder, remote, key=key, certificate=paper, root=root)
