"""A sealing put straight into the database, for calls that need one to stand: who confirms, what is opened."""

import functools
import uuid

import argon2

from gateway.identity.passwords import ACCEPTED
from tests.world import PROVINCE, World

CREDENTIAL, CODE = "0000-1111-2222-3333-4444-5555-6666-7777", "abcde-fghjk-mnpqr-stvwx"
NAMED = ("admin", "second", "third")


@functools.cache
def hashed(text: str) -> str:
    """The argon2id hash of a text, once per process."""
    return argon2.PasswordHasher.from_parameters(ACCEPTED[0]).hash(text)


def people(world: World) -> tuple[str, ...]:
    """Three officers of the province, the administrator among them; the other two never come in themselves."""
    for name in NAMED[1:]:
        world.sql(
            "INSERT INTO gateway.account (organisation, name, roles, subject_kind, subject_name,"
            " password_hash, password_set_us, password_expires_us, must_change, history, created_us)"
            " VALUES (%s, %s, '{security_officer}', 'officer', %s, '!', 1, 2, true, '{}', %s)"
            " ON CONFLICT DO NOTHING",
            *(PROVINCE, name, name, world.clock.now_us()),
        )
    return NAMED


def sealing(world: World) -> str:
    """Seal, instead of whatever was sealed; both envelopes hold CREDENTIAL, every code is CODE."""
    now_us, made = world.clock.now_us(), str(uuid.uuid4())
    world.sql("UPDATE gateway.break_glass_opening SET ended_us = %s WHERE ended_us IS NULL", now_us)
    world.sql("UPDATE gateway.break_glass_sealing SET ended_us = %s WHERE ended_us IS NULL", now_us)
    world.sql(
        "INSERT INTO gateway.break_glass_sealing (id, organisation, sealed_by, sealed_us)"
        " VALUES (%s, %s, 'admin', %s)",
        *(made, PROVINCE, now_us),
    )
    for number in (1, 2):
        world.sql(
            "INSERT INTO gateway.break_glass_envelope (sealing, number, credential_hash)"
            " VALUES (%s, %s, %s)",
            *(made, number, hashed(CREDENTIAL)),
        )
    for name in people(world):
        world.sql(
            "INSERT INTO gateway.break_glass_officer (sealing, name, code_hash, registered_us)"
            " VALUES (%s, %s, %s, %s)",
            *(made, name, hashed(CODE), now_us),
        )
    return made


def opening(world: World, opener: str, *, digest: bytes = bytes(32), opened: bool = False) -> str:
    """Open an envelope of a fresh sealing, as an older gateway did: with the reason in its row."""
    now_us, made, sealed = world.clock.now_us(), str(uuid.uuid4()), sealing(world)
    world.sql(
        "INSERT INTO gateway.break_glass_opening (id, sealing, envelope, name, account,"
        " certificate_sha256, reason, ticket, drill, asked_us, opened_us)"
        " VALUES (%s, %s, 1, %s, 'admin', %s, 'locked out', 'OPS-1', false, %s, %s)",
        *(made, sealed, opener, digest, now_us, now_us if opened else None),
    )
    return made
