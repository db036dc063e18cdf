"""`gateway status`: what runs, how well it is separated, what grows old, how long the log is."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from cryptography import x509

from gateway.cli.output import JsonOption, LangOption, Output
from gateway.clock import SYSTEM, from_datetime, iso
from gateway.config import settings
from gateway.config.confinement import check_runner, users_separate
from gateway.config.home import Home
from gateway.config.policies import load_policies
from gateway.config.settings import Settings
from gateway.pki import ceremony
from gateway.store import roles, versions
from gateway.store.database import Database, StoreAwayError
from gateway.supervise import state

HomeArgument = Annotated[Path, typer.Argument(metavar="HOME", help="cli.home")]
HOUR_US = 3_600_000_000
DAY_US = 24 * HOUR_US
# Told apart from the rest this long before its end.
SOON_DAYS = 14

_LOG = "SELECT size, time_us FROM gateway.audit_head"
_CERTIFICATES = (
    "SELECT count(*) FILTER (WHERE state = 1 AND not_after_us > %s),"
    " count(*) FILTER (WHERE state = 1 AND not_after_us BETWEEN %s AND %s),"
    " count(*) FILTER (WHERE state = 2) FROM gateway.certificate"
)
_PASSWORDS = (
    "SELECT count(*), count(*) FILTER (WHERE password_expires_us <= %s),"
    " count(*) FILTER (WHERE must_change), min(password_set_us) FROM gateway.account"
    " WHERE state = 1"
)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("status", help="cli.status.help")(status)


def status(home: HomeArgument, json: JsonOption = False, lang: LangOption = "") -> None:
    """Show the state of a gateway on its own host."""
    output = Output.of(json, lang)
    place = Home(home.resolve())
    check_runner(place)
    now_us = SYSTEM.now_us()
    report = Report(place, settings.load(place.settings), now_us)
    document = report.document()
    output.result(document, "\n".join(report.lines(output, document)))


@dataclass(frozen=True, slots=True)
class Report:
    """What `status` tells of a HOME at one time."""

    home: Home
    settings: Settings
    now_us: int

    def document(self) -> dict[str, object]:
        """Return all of it, as --json prints it."""
        served = state.is_served(self.home)
        known = (state.read(self.home) or {}) if served else {}
        return {
            "home": str(self.home.root),
            "served": served,
            "processes": known.get("children", {}),
            "separation": "strong" if users_separate(self.home) else "weak",
            # Only a provider that proves the ingress interface is more than weak.
            "origin": "weak" if self.settings.origin.provider == "static" else "proven",
            "policies_sha256": load_policies(self.home.policies).sha256,
            "offline_keys": "here" if any(self.home.offline.glob("*.key")) else "away",
            "days_left": self._days_left(),
            "crl_hours_left": self._crl_hours_left(),
            "database": asyncio.run(self._database()),
        }

    def lines(self, output: Output, document: Mapping[str, object]) -> list[str]:
        """Return the same for people, a line each."""
        processes, days = document["processes"], document["days_left"]
        database = document["database"]
        told = [
            output.text(f"status.served-{str(document['served']).lower()}", home=self.home.root)
        ]
        if isinstance(processes, Mapping):
            told += [
                output.text("status.process", process=name, **about)
                for name, about in processes.items()
            ]
        for key in ("separation", "origin", "offline_keys"):
            told.append(output.text(f"status.{key}-{document[key]}"))
        if isinstance(days, Mapping):
            for name, left in days.items():
                age = "soon" if left <= SOON_DAYS else "left"
                told.append(output.text(f"status.days-{age}", what=name, days=left))
        told.append(output.text("status.crl", hours=document["crl_hours_left"]))
        if isinstance(database, Mapping):
            told.append(output.text(f"status.database-{database['state']}", **database))
        return told

    def _days_left(self) -> dict[str, int]:
        _, server = ceremony.server_files(self.home)
        paths = {
            "root": self.home.root_certificate,
            "client-authority": self.home.client_authority_certificate,
            "server": server,
        }
        ends = {
            name: x509.load_pem_x509_certificate(path.read_bytes()).not_valid_after_utc
            for name, path in paths.items()
        }
        return {name: (from_datetime(end) - self.now_us) // DAY_US for name, end in ends.items()}

    def _crl_hours_left(self) -> int:
        end = x509.load_pem_x509_crl(self.home.crl.read_bytes()).next_update_utc
        return 0 if end is None else (from_datetime(end) - self.now_us) // HOUR_US

    async def _database(self) -> dict[str, object]:
        owner = roles.conninfo(self.home, self.settings, "owner")
        try:
            database = await Database.open(owner, application="gateway-status", size=1)
        except StoreAwayError:
            return {"state": "away"}
        soon = self.now_us + SOON_DAYS * DAY_US
        try:
            async with database.transaction() as tx:
                log = await tx.fetch_one(_LOG) or (0, 0)
                certificates = await tx.fetch_one(_CERTIFICATES, [self.now_us, self.now_us, soon])
                accounts = await tx.fetch_one(_PASSWORDS, [self.now_us])
        finally:
            await database.close()
        valid, ending, revoked = certificates or (0, 0, 0)
        count, expired, one_time, oldest = accounts or (0, 0, 0, None)
        return {
            "state": "external" if self.settings.dsn else "embedded",
            "schema": await asyncio.to_thread(versions.current, owner),
            "log_size": log[0],
            "log_time": iso(log[1]),
            "certificates": valid,
            "certificates_ending": ending,
            "certificates_revoked": revoked,
            "accounts": count,
            "passwords_expired": expired,
            "passwords_one_time": one_time,
            "oldest_password_days": (self.now_us - oldest) // DAY_US if oldest else 0,
        }
