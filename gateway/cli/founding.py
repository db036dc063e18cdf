"""What `gateway init` does, step by step; see there."""

import asyncio
import csv
import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509 import Certificate

from gateway import signer
from gateway.audit.event import Event
from gateway.client import profile
from gateway.clock import SYSTEM
from gateway.config import folders, policies, settings, users
from gateway.config.home import Home
from gateway.config.settings import PortSettings, Settings, SettingsError
from gateway.identity import accounts, inventory, keys, rule_files, secret_rows
from gateway.identity.passwords import OneTime, Passwords
from gateway.identity.roles import ADMIN as ADMINISTRATOR
from gateway.names import Subject
from gateway.pki import ceremony, issue, proof
from gateway.pki import register as certificates
from gateway.pki.issue import Authority
from gateway.policy import activation, bundle, complete
from gateway.policy.bundle import BundleError
from gateway.registry import organisations, systems
from gateway.registry.organisations import Kind, Organisation
from gateway.registry.systems import System
from gateway.store import export_keys, external, part_key, roles, seal_keys, tag_keys, ticket_key
from gateway.store.database import Database
from gateway.store.embedded import Cluster
from gateway.store.migrate import migrate

# The first officer, who registers all others.
ADMIN = "admin"
_APPEND = "SELECT first FROM gateway.audit_append(%s, 0)"
_SETTINGS = """\
# Settings of this gateway; docs/operations.md explains each. An unknown key refuses the start.
province = {province}
trust_domain = {trust_domain}
# "": the embedded PostgreSQL. Else a libpq connection string without user and password.
dsn = {dsn}

[front]
listen = {listen}

[ports]
identity = {ports.identity}
intake = {ports.intake}
disclosure = {ports.disclosure}
administration = {ports.administration}
enrolment = {ports.enrolment}

[origin]
# "static" believes addresses and is marked weak in every entry of the audit log: refused unless the
# next line says true. "wireguard" and "strongswan" with device = "wg0" prove the tunnel.
provider = "static"
allow_weak_origin = false

# An organisation by the address of ours that it connects to, or by the network it comes from:
# [[origin.static]]
# organisation = "{province_bare}"
# source = "10.8.0.0/24"
"""


class Say(Protocol):
    """Tells the user a text of the catalogues."""

    def __call__(self, msgid: str, **parameters: object) -> None:
        """Tell it."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Founding:
    """What a new gateway is to be.

    `dsn` "" is the embedded database, `policies` None those that ship.
    """

    home: Home
    province: str
    trust_domain: str
    dsn: str
    password: str
    base_port: int
    listen: tuple[str, ...]
    policies: Path | None = None
    account: str = ADMIN

    async def found(self, say: Say) -> str:
        """Make it all; return the first admin's one-time password. Raises what a step raises."""
        say("init.folders")
        if users.separate():
            users.make_users()
        folders.make_folders(self.home)
        # The DSN comes in when the database is made: without the user that makes it.
        self._write_settings("")
        self._copy_policies()
        say("init.keys")
        authority = self._make_keys()
        say("init.database")
        cluster = await asyncio.to_thread(self._make_database)
        try:
            say("init.register")
            return await self._register(authority)
        finally:
            if cluster is not None:
                await asyncio.to_thread(cluster.stop)

    @property
    def ports(self) -> PortSettings:
        """The doors' ports, counted from the lowest."""
        base = self.base_port
        return PortSettings(
            intake=base,
            disclosure=base + 1,
            administration=base + 2,
            identity=base + 3,
            enrolment=base + 5,
        )

    @property
    def settings(self) -> Settings:
        """The settings that were written."""
        return settings.load(self.home.settings)

    def _write_settings(self, dsn: str) -> None:
        # JSON strings and lists of ASCII are TOML.
        text = _SETTINGS.format(
            province=json.dumps(self.province),
            province_bare=self.province,
            trust_domain=json.dumps(self.trust_domain),
            dsn=json.dumps(dsn),
            listen=json.dumps(self.listen),
            ports=self.ports,
        )
        folders.write_public(self.home.settings, text.encode())
        settings.load(self.home.settings)

    def _copy_policies(self) -> None:
        source = self.policies or policies.shipped("policies")
        shutil.copytree(source, self.home.policies, dirs_exist_ok=True)
        for path in self.home.policies.rglob("*"):
            path.chmod(0o755 if path.is_dir() else 0o644)
        folders.make_folders(self.home)  # the copy brought its own modes
        policies.load_policies(self.home.policies)
        cedar = self.home.policies / "cedar"
        try:
            complete.require(cedar, bundle.files(cedar))
        except BundleError as error:
            raise SettingsError(str(error)) from error

    def _make_keys(self) -> Authority:
        hosts = [*self.listen, self.trust_domain]
        authority = ceremony.found(self.home, self.trust_domain, hosts, SYSTEM.now_us())
        token = keys.make()
        private = self.home.secrets("identity") / keys.PRIVATE_FILE
        folders.write_private(private, token.private_jwk.encode(), "identity")
        folders.write_public(self.home.token_keys, token.public_set.encode())
        signer.create(self.home, self.settings.log_origin)
        seal_keys.make_keys(self.home)
        export_keys.make(self.home)
        ticket_key.make(self.home)
        proof.make(self.home)
        part_key.make(self.home)
        tag_keys.make(self.home, SYSTEM.now_us())
        return authority

    def _make_database(self) -> Cluster | None:
        if self.dsn:
            self._write_settings(external.provision(self.home, self.dsn, self.password))
            migrate(roles.conninfo(self.home, self.settings, "owner"))
            return None
        cluster = Cluster(self.home)
        cluster.create()
        cluster.start()
        try:
            cluster.provision()
            migrate(roles.conninfo(self.home, self.settings, "owner"))
        except BaseException:
            cluster.stop()
            raise
        return cluster

    async def _register(self, authority: Authority) -> str:
        key = ec.generate_private_key(ec.SECP256R1())
        subject = Subject(self.trust_domain, self.province, "officer", self.account)
        now_us = SYSTEM.now_us()
        certificate = issue.client_certificate(authority, subject, key.public_key(), now_us)
        passwords = Passwords()
        one_time = await passwords.one_time()
        passwords.close()
        await self._insert(subject, certificate, one_time, now_us)
        profile.write(
            self.home.admin_profile,
            self._remote(),
            key=ceremony.key_pem(key),
            certificate=ceremony.pem(certificate),
            root=self.home.root_certificate.read_bytes(),
            password=one_time.text,
        )
        return one_time.text

    async def _insert(
        self, subject: Subject, certificate: Certificate, one_time: OneTime, now_us: int
    ) -> None:
        names = self._divisions()
        owner = roles.conninfo(self.home, self.settings, "owner")
        database = await Database.open(owner, application="gateway-init", size=1)
        province = Organisation(
            self.province, names.get(self.province, ""), int(Kind.PROVINCE), None
        )
        limits = rule_files.load(self.home.policies / "passwords.toml").at(now_us)
        account = accounts.NewAccount(self.province, self.account, (ADMINISTRATOR,), self.account)
        cedar = bundle.files(self.home.policies / "cedar")
        event = Event(
            kind="log.start",
            organisation=self.province,
            subject=str(subject),
            bundle=bundle.of_files(cedar).sha256,
            detail={"policies_sha256": policies.digest(self.home.policies)},
        )
        try:
            async with database.transaction() as tx:
                await organisations.create(tx, province, names, now_us)
                await systems.create(tx, System(self.province, "officer", self.account), now_us)
                await accounts.create(tx, account, one_time.hash, limits, now_us)
                await certificates.insert(tx, certificate, subject)
                lying = inventory.compare(inventory.found(self.home), [])
                await secret_rows.enter_all(tx, lying.unknown)
                await activation.found(tx, cedar, now_us)
                await tx.fetch_one(_APPEND, [[event.to_leaf(now_us)]])
        finally:
            await database.close()

    def _divisions(self) -> dict[str, str]:
        path = self.home.policies / "tables" / "divisions.csv"
        with path.open(encoding="utf-8", newline="") as file:
            return {row["code"]: row["name_zh"] for row in csv.DictReader(file)}

    def _remote(self) -> profile.Remote:
        return profile.Remote(
            host=self.listen[0],
            server_name=self.trust_domain,
            trust_domain=self.trust_domain,
            organisation=self.province,
            account=self.account,
            log_key=self.home.log_key.read_text(encoding="utf-8").strip(),
            ports=self.ports,
        )
