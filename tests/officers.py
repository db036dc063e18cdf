"""Security officers of a world's province, and the profile that each has on an own machine."""

from pathlib import Path

from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from gateway.client import profile as profiles
from gateway.client.profile import Profile, Remote
from gateway.identity.rules import DAY_US
from gateway.names import DEFAULT_TRUST_DOMAIN, Subject
from gateway.pki import ceremony
from gateway.registry import systems
from gateway.registry.systems import System
from gateway.store import roles
from gateway.store.database import Database
from tests.people import PROVINCE, Person, newcomer
from tests.world import World


async def officer(
    world: World, name: str, role: str = "security_officer", organisation: str = PROVINCE
) -> Person:
    """Register an officer with an account of this role and a certificate."""
    owner = roles.conninfo(world.home, world.settings, "owner")
    database = await Database.open(owner, application="test", size=1)
    now_us = world.clock.now_us()
    async with database.transaction() as tx:
        await systems.create(tx, System(organisation, "officer", name), now_us)
    await database.close()
    world.sql(
        "INSERT INTO gateway.account (organisation, name, roles, subject_kind, subject_name,"
        " password_hash, password_set_us, password_expires_us, must_change, history, created_us)"
        " VALUES (%s, %s, %s, 'officer', %s, 'x', %s, %s, false, '{}', %s)",
        *(organisation, name, [role], name, now_us, now_us + 88 * DAY_US, now_us),
    )
    return await newcomer(
        owner, world.authority, Subject(DEFAULT_TRUST_DOMAIN, organisation, "officer", name)
    )


def profile(world: World, person: Person, folder: Path) -> Profile:
    """Write the profile of a person, which has kept no checkpoint yet."""
    key = world.home.log_key.read_text(encoding="utf-8").strip()
    remote = Remote(
        "127.0.0.1", DEFAULT_TRUST_DOMAIN, DEFAULT_TRUST_DOMAIN, PROVINCE, person.account, key
    )
    return profiles.write(
        folder,
        remote,
        key=person.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
        certificate=ceremony.pem(person.certificate),
        root=world.home.root_certificate.read_bytes(),
    )
