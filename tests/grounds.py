"""What a world stands on: a fresh migrated database, and a HOME with keys, policies and settings that go with it."""

import contextlib
import json
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

from gateway import signer
from gateway.clock import SYSTEM
from gateway.config import backups, folders, policies, settings
from gateway.config.home import Home
from gateway.config.settings import Settings
from gateway.identity import keys
from gateway.names import DEFAULT_TRUST_DOMAIN
from gateway.pki import ceremony, proof
from gateway.store import export_keys, part_key, roles, seal_keys, tag_keys, ticket_key
from gateway.store.embedded import Cluster
from tests.people import ORGANISATIONS


@dataclass(frozen=True, slots=True)
class Ground:
    """What a world stands on: a fresh migrated database of a running cluster."""

    cluster_home: Home
    dsn: str
    superuser: str = ""


def ground_of(cluster_home: Home, settings: Settings) -> Ground:
    """Return the ground of a test's own database (fixtures `database_home`, `database_settings`)."""
    return Ground(cluster_home, settings.dsn)


@contextlib.contextmanager
def fresh_ground(cluster: Cluster, template: str = "gateway_template") -> Iterator[Ground]:
    """Give a database of one's own in the fixture `cluster`, for tests that share a world."""
    name = f"world_{secrets.token_hex(8)}"
    with psycopg.connect(cluster.superuser(), autocommit=True) as connection:
        roles.create_database(connection, name, template=template)
        try:
            server = roles.server(cluster.home, Settings())
            dsn = make_conninfo(server, dbname=name)
            yield Ground(cluster.home, dsn, cluster.superuser())
        finally:
            drop = sql.SQL("DROP DATABASE {} WITH (FORCE)")
            connection.execute(drop.format(sql.Identifier(name)))


@contextlib.contextmanager
def founded(ground: Ground) -> Iterator[tuple[Home, Settings]]:
    """Give a HOME with keys, settings, policies and password files, whose database is the ground's."""
    # A short path: a unix socket's has 108 bytes.
    root = Path(tempfile.mkdtemp(prefix="gw-"))
    root.chmod(0o711)
    home = Home(root / "home")
    try:
        folders.make_folders(home)
        home.settings.write_text(_settings(ground.dsn), encoding="utf-8")
        loaded = settings.load(home.settings)
        shutil.copytree(policies.shipped("policies"), home.policies, dirs_exist_ok=True)
        # Nobody backs a world up, whose clock is turned by months.
        rules = home.policies / backups.FILE
        rules.write_text(rules.read_text().replace("block_days = 7.0", "block_days = 36500.0"))
        for role in roles.ROLES:
            shutil.copy(ground.cluster_home.password_file(role), home.password_file(role))
        ceremony.found(
            home, DEFAULT_TRUST_DOMAIN, ["127.0.0.1", DEFAULT_TRUST_DOMAIN], SYSTEM.now_us()
        )
        token = keys.make()
        folders.write_private(
            home.secrets("identity") / keys.PRIVATE_FILE, token.private_jwk.encode()
        )
        folders.write_public(home.token_keys, token.public_set.encode())
        signer.create(home, loaded.log_origin)
        seal_keys.make_keys(home)
        export_keys.make(home)
        ticket_key.make(home)
        proof.make(home)
        part_key.make(home)
        tag_keys.make(home, SYSTEM.now_us())
        yield home, loaded
    finally:
        shutil.rmtree(root)


def _settings(dsn: str) -> str:
    """Return settings that give every organisation a listening address of its own, apart from other worlds'."""
    network = f"127.{secrets.randbelow(200) + 10}.{secrets.randbelow(250)}"
    lines = [f"dsn = {json.dumps(dsn)}", "[front]", f'listen = ["{network}.1"]']
    lines += ["[origin]", "allow_weak_origin = true"]
    for number, (code, _, _) in enumerate(ORGANISATIONS, 11):
        lines += ["[[origin.static]]", f'organisation = "{code}"', f'listen = "{network}.{number}"']
    return "\n".join(lines) + "\n"
