"""`gateway status`: what runs, how well it is separated, what grows old, how long the log is."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from gateway.backups import drilled, formed, losses
from gateway.backups import standing as backups
from gateway.cli import backed, rotation, sealed, standing, tunnel_standing, witnessed
from gateway.cli.output import JsonOption, LangOption, Output
from gateway.cli.standing import DAY_US, HOUR_US, Held
from gateway.clock import SYSTEM, iso
from gateway.config import settings
from gateway.config.backups import BackupRules, load_backup_rules
from gateway.config.confinement import check_runner, users_separate
from gateway.config.home import Home
from gateway.config.policies import (
    CertificateRules,
    TunnelRules,
    load_certificate_rules,
    load_policies,
    load_tunnel_rules,
)
from gateway.config.settings import Settings
from gateway.config.witnesses import WitnessRules, load_witness_rules
from gateway.identity import rule_files
from gateway.identity.rules import Dated, Rules
from gateway.pki.register import Bearer
from gateway.store import roles, versions
from gateway.store.database import Database, StoreAwayError, Transaction
from gateway.supervise import state

HomeArgument = Annotated[Path, typer.Argument(metavar="HOME", help="cli.home")]
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
            # The front starts with less than a proven interface only where weak is allowed.
            "origin": "weak" if self.settings.origin.may_be_weak else "proven",
            # As the supervisor saw it last; null where none is watched.
            "wall": known.get("wall"),
            "policies_sha256": load_policies(self.home.policies).sha256,
            "password_profile": _profile(self._passwords.ruling(self.now_us)),
            "password_profiles_coming": [
                _profile(one) for one in self._passwords.coming(self.now_us)
            ],
            "offline_keys": "here" if any(self.home.offline.glob("*.key")) else "away",
            "days_left": self._days_left(),
            **self._list(),
            "database": asyncio.run(self._database()),
            "secrets_late": self._late(),
        }

    def lines(self, output: Output, document: Mapping[str, object]) -> list[str]:
        """Return the same for people, a line each."""
        processes, days = document["processes"], document["days_left"]
        database = document["database"]
        told = [
            output.text(f"status.served-{str(document['served']).lower()}", home=self.home.root),
            # Before all else: nobody is to overlook that it is weak.
            output.text(f"status.origin-{document['origin']}"),
        ]
        told += _wall(output, document["wall"])
        if isinstance(processes, Mapping):
            told += [
                output.text("status.process", process=name, **about)
                for name, about in processes.items()
            ]
        for key in ("separation", "offline_keys"):
            told.append(output.text(f"status.{key}-{document[key]}"))
        told += [
            output.text("status.profile-coming", **one)
            for one in _each(document, "password_profiles_coming")
        ]
        if isinstance(days, Mapping):
            for name, left in days.items():
                age = "soon" if left <= SOON_DAYS else "left"
                told.append(output.text(f"status.days-{age}", what=name, days=left))
        about = {"hours": document["crl_hours_left"], "age": document["crl_age_hours"]}
        told.append(output.text(f"status.crl-{document['crl_state']}", **about))
        if isinstance(database, Mapping):
            told.append(output.text(f"status.database-{database['state']}", **database))
            told += _attention(output, database)
            vouched = database.get("witnesses")
            told += witnessed.lines(output, vouched) if isinstance(vouched, Mapping) else []
            glass = database.get("break_glass")
            told += sealed.lines(output, glass) if isinstance(glass, Mapping) else []
            kept = database.get("backups")
            told += backed.lines(output, kept) if isinstance(kept, Mapping) else []
        return told + [_late(output, one) for one in _each(document, "secrets_late")]

    def _days_left(self) -> dict[str, int]:
        ends = standing.ends(self.home)
        return {name: (end_us - self.now_us) // DAY_US for name, end_us in ends.items()}

    def _late(self) -> list[dict[str, object]]:
        report = asyncio.run(rotation.read(self.home, self.now_us))
        return [rotation.document_of(one) for one in report.late]

    def _list(self) -> dict[str, object]:
        found = standing.list_age(self.home, self._rules, self.now_us)
        return {
            "crl_state": found.state,
            "crl_age_hours": (self.now_us - found.made_us) // HOUR_US,
            "crl_hours_left": (found.until_us - self.now_us) // HOUR_US,
        }

    @property
    def _passwords(self) -> Rules:
        return rule_files.load(self.home.policies / "passwords.toml")

    @property
    def _rules(self) -> CertificateRules:
        return load_certificate_rules(self.home.policies / "certificates.toml")

    @property
    def _tunnel_rules(self) -> TunnelRules:
        return load_tunnel_rules(self.home.policies / "tunnels.toml")

    @property
    def _witness_rules(self) -> WitnessRules:
        return load_witness_rules(self.home.policies / "witnesses.toml")

    @property
    def _backup_rules(self) -> BackupRules:
        return load_backup_rules(self.home.policies / "backups.toml")

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
                found = await standing.registered(tx, self._rules, self.now_us)
                stands = await tunnel_standing.read(tx, self._tunnel_rules, self.now_us)
                glass = await sealed.read(tx, self._passwords.break_glass, self.now_us)
                vouched = await witnessed.read(tx, self._witness_rules, self.now_us)
                kept = await self._backups(tx)
        finally:
            await database.close()
        valid, ending, revoked = certificates or (0, 0, 0)
        return {
            "state": "external" if self.settings.dsn else "embedded",
            "schema": await asyncio.to_thread(versions.current, owner),
            "log_size": log[0],
            "log_time": iso(log[1]),
            "certificates": valid,
            "certificates_ending": ending,
            "certificates_revoked": revoked,
            "expiring": [_expiring(held, self.now_us) for held in found.held if held.warning_days],
            "lineages_locked": [_who(bearer) for bearer in found.locked],
            "invitations_open": found.invitations_open,
            "tunnels": tunnel_standing.counts(stands),
            "tunnels_attention": tunnel_standing.attention(stands, self.now_us),
            **_passwords(accounts or (0, 0, 0, None), self.now_us),
            "break_glass": glass,
            "witnesses": vouched.document(),
            "backups": kept,
        }

    async def _backups(self, tx: Transaction) -> dict[str, object]:
        found = await backups.read(tx, self._backup_rules, self.now_us)
        told = backed.document(found, self.now_us)
        told["lost"] = sum(one.still for one in await losses.read(tx))
        told["form"] = await formed.read(tx) if self.settings.dsn else ""
        drill = await drilled.read(tx, self._backup_rules, self.now_us)
        return told | {"drill": backed.drill_document(drill, self.now_us)}


def _passwords(found: tuple[Any, ...], now_us: int) -> dict[str, object]:  # Any: a row of counts
    count, expired, one_time, oldest = found
    return {
        "accounts": count,
        "passwords_expired": expired,
        "passwords_one_time": one_time,
        "oldest_password_days": (now_us - oldest) // DAY_US if oldest else 0,
    }


def _wall(output: Output, wall: object) -> list[str]:
    """Return how the packet filter stands, and what it refused since it was loaded."""
    if not isinstance(wall, Mapping):
        return []
    return [output.text(f"status.wall-{wall['state']}", **{**wall, **wall["packets"]})]


def _attention(output: Output, database: Mapping[str, object]) -> list[str]:
    """Return what somebody must see to: certificates, locked identities, invitations, tunnels."""
    waiting = database.get("invitations_open")
    return [
        *(output.text("status.expiring", **one) for one in _each(database, "expiring")),
        *(output.text("status.locked", who=who) for who in _each(database, "lineages_locked")),
        *([output.text("status.invitations", count=waiting)] if waiting else []),
        *tunnel_lines(output, database),
    ]


def tunnel_lines(output: Output, database: Mapping[str, object]) -> list[str]:
    """Return how many tunnels there are and, a line each, what is to be done about which."""
    counts = database.get("tunnels")
    if not isinstance(counts, dict) or not counts["active"]:
        return []
    steps = _each(database, "tunnels_attention")
    lines = [output.text(f"status.tunnel-{one['step']}", **one) for one in steps]
    return [output.text("status.tunnels", **counts), *lines]


def _each(database: Mapping[str, object], key: str) -> list[Any]:  # Any: JSON of our own making
    found = database.get(key)
    return found if isinstance(found, list) else []


def _late(output: Output, one: Mapping[str, object]) -> str:
    about = {word: output.text(f"rotation.{word}.{one[word]}") for word in ("kind", "step")}
    return output.text("status.secret-late", owner=one["owner"], name=one["name"], **about)


def _profile(one: Dated) -> dict[str, object]:
    return {"name": one.name, "valid_from": iso(one.valid_from_us), "sha256": one.sha256}


def _who(bearer: Bearer) -> str:
    return f"{bearer.organisation} {bearer.kind}/{bearer.name}"


def _expiring(held: Held, now_us: int) -> dict[str, object]:
    return {
        "who": _who(held.bearer),
        "purpose": standing.PURPOSES[held.purpose],
        "not_after": iso(held.not_after_us),
        "days": (held.not_after_us - now_us) // DAY_US,
        "step": held.warning_days,
    }
