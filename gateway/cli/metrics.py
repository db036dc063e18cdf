"""`gateway metrics HOME`: how old things are, as Prometheus reads it.

For a timer and the node exporter's textfile collector; nothing listens for it. While the database
is away what is in it is left out and `gateway_database_up` is 0.
"""

import asyncio
from pathlib import Path
from typing import Annotated

import typer
from prometheus_client import CollectorRegistry, Gauge, generate_latest

from gateway.backups import drilled
from gateway.backups import standing as backups
from gateway.backups.drilled import LastDrill
from gateway.backups.standing import Standing
from gateway.cli import rotation, standing, tunnel_standing, witnessed
from gateway.cli.output import JsonOption, LangOption, Output
from gateway.cli.rotation import Report
from gateway.cli.standing import PURPOSES, Registered
from gateway.cli.tunnel_standing import Stand
from gateway.clock import SYSTEM, US_PER_S
from gateway.config import policies, settings
from gateway.config.backups import BackupRules
from gateway.config.confinement import check_runner
from gateway.config.home import Home
from gateway.config.policies import CertificateRules, Policies
from gateway.identity.rotation import STAGES
from gateway.store import roles
from gateway.store.database import Database, StoreAwayError, Transaction

HomeArgument = Annotated[Path, typer.Argument(metavar="HOME", help="cli.home", exists=True)]
_PEER = ("organisation", "kind", "peer")
_TUNNELS = {
    "active": "Tunnels that may be used.",
    "overlapping": "Tunnels whose key is being changed.",
    "due": "Tunnels whose key is older than the policy allows.",
    "unused": "Tunnels that nobody has used for longer than the policy bears.",
}
_BEARER = ("organisation", "kind", "name", "purpose")


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("metrics", help="cli.metrics.help")(metrics)


def metrics(home: HomeArgument, json: JsonOption = False, lang: LangOption = "") -> None:
    """Print the metrics."""
    output = Output.of(json, lang)
    place = Home(home.resolve())
    check_runner(place)
    rules = policies.load_policies(place.policies)
    found, stands, vouched, kept = asyncio.run(_registered(place, rules))
    now_us = SYSTEM.now_us()
    registry = gauges(place, rules.certificates, found, now_us)
    weak = settings.load(place.settings).origin.may_be_weak
    _gauge(registry, "origin_weak", "Whether an address may be believed.").set(weak)
    if stands is not None:
        tunnel_gauges(registry, stands, now_us)
    if vouched is not None:
        witness_gauges(registry, vouched)
    if kept is not None:
        backup_gauges(registry, kept[0], now_us)
        drill_gauges(registry, kept[1], now_us)
    lives(registry, asyncio.run(rotation.read(place, now_us)))
    text = generate_latest(registry).decode()
    output.result({"metrics": text}, text.rstrip("\n"))


def gauges(
    home: Home, rules: CertificateRules, found: Registered | None, now_us: int
) -> CollectorRegistry:
    """Return the gauges of a HOME at one time; `found` is None while the database is away."""
    registry = CollectorRegistry()

    def gauge(name: str, about: str, labels: tuple[str, ...] = ()) -> Gauge:
        return _gauge(registry, name, about, labels)

    def left(end_us: int) -> float:
        return (end_us - now_us) / US_PER_S

    gauge("database_up", "Whether the database answers.").set(found is not None)
    listed = standing.list_age(home, rules, now_us)
    gauge("crl_age_seconds", "Age of the oldest revocation list.").set(-left(listed.made_us))
    gauge("crl_next_update_seconds", "Until nobody is let in.").set(left(listed.until_us))
    ends = standing.ends(home)
    server = gauge("server_certificate_expire_seconds", "Until the front's certificate ends.")
    server.set(left(ends.pop("server")))
    authority = gauge("authority_expire_seconds", "Until an authority ends.", ("name",))
    for name, end_us in ends.items():
        authority.labels(name).set(left(end_us))
    if found is None:
        return registry
    expire = gauge("certificate_expire_seconds", "Until a bearer's certificate ends.", _BEARER)
    for held in found.held:
        bearer = (held.bearer.organisation, held.bearer.kind, held.bearer.name)
        expire.labels(*bearer, PURPOSES[held.purpose]).set(left(held.not_after_us))
    gauge("lineage_locked", "Bearers whose identity two hold.").set(len(found.locked))
    gauge("invitations_open", "Invitations that wait.").set(found.invitations_open)
    return registry


def tunnel_gauges(registry: CollectorRegistry, stands: tuple[Stand, ...], now_us: int) -> None:
    """Add the gauges of the tunnels."""
    for name, count in tunnel_standing.counts(stands).items():
        _gauge(registry, f"tunnels_{name}", _TUNNELS[name]).set(count)
    due = _gauge(registry, "tunnel_key_due_seconds", "Until a tunnel's key is due.", _PEER)
    idle = _gauge(registry, "tunnel_idle_seconds", "Since a tunnel was last seen at work.", _PEER)
    for one in stands:
        found = one.tunnel
        if one.is_active:
            labels = (found.organisation, found.kind, found.peer)
            last_us = found.last_seen_us or found.created_us
            idle.labels(*labels).set((now_us - last_us) / US_PER_S)
            if one.key.due_us is not None:
                due.labels(*labels).set((one.key.due_us - now_us) / US_PER_S)


def witness_gauges(registry: CollectorRegistry, vouched: witnessed.Standing) -> None:
    """Add the gauges of the witnesses, and of the end of the log that none vouches for."""
    _gauge(registry, "witnesses", "Keys of witnesses that count.").set(vouched.witnesses)
    _gauge(registry, "unwitnessed_entries", "Entries no quorum vouches for.").set(
        vouched.tail.entries
    )
    age = _gauge(registry, "unwitnessed_age_seconds", "Age of the oldest such entry.")
    age.set(vouched.tail.age_s)
    late = _gauge(registry, "unwitnessed_late", "Whether that is past the policy's limits.")
    late.set(vouched.late)


def backup_gauges(registry: CollectorRegistry, kept: Standing, now_us: int) -> None:
    """Add the gauges of the newest verified backup; without one, of the gateway's whole life."""
    age = _gauge(registry, "backup_age_seconds", "Since a backup was verified in its places.")
    age.set(kept.age_s(now_us))
    _gauge(registry, "backup_places", "Places of the policy; 0: nobody makes backups.").set(
        kept.places
    )
    late = _gauge(registry, "backup_late", "Whether that is past the policy, or has no places.")
    late.set(kept.state != "good")
    blocking = _gauge(registry, "backup_blocks_exports", "Whether nothing leaves for it.")
    blocking.set(kept.state == "blocking")


def drill_gauges(registry: CollectorRegistry, found: LastDrill, now_us: int) -> None:
    """Add the gauges of the newest good drill; without one, of the gateway's whole life."""
    age = _gauge(registry, "backup_drill_age_seconds", "Since a backup was restored in a drill.")
    age.set(found.age_s(now_us))
    _gauge(registry, "backup_drill_late", "Whether that is past the policy.").set(found.late)
    if found.good_us is not None:
        took = _gauge(registry, "backup_drill_rto_seconds", "How long the newest good drill took.")
        took.set(found.rto_s)
        lost = _gauge(registry, "backup_drill_rpo_seconds", "How old what it restored was then.")
        lost.set(found.rpo_s)


def lives(registry: CollectorRegistry, report: Report) -> None:
    """Add the gauges of every secret, by kind; without the database of those on disk."""
    oldest = _gauge(
        registry, "secret_age_seconds", "Age of the oldest secret of a kind.", ("kind",)
    )
    late = _gauge(registry, "secrets_late", "Secrets that missed their time.", ("kind",))
    staged = _gauge(registry, "secrets", "Secrets in a stage.", ("kind", "stage"))
    for kind in dict.fromkeys(one.secret.kind for one in report.judged):
        found = [one for one in report.judged if one.secret.kind == kind]
        oldest.labels(kind).set(max(one.age_us for one in found) / US_PER_S)
        late.labels(kind).set(sum(one.late for one in found))
        for stage in STAGES:
            staged.labels(kind, stage).set(sum(one.stage == stage for one in found))


def _gauge(
    registry: CollectorRegistry, name: str, about: str, labels: tuple[str, ...] = ()
) -> Gauge:
    return Gauge(f"gateway_{name}", about, labels, registry=registry)


Kept = tuple[Standing, LastDrill]
Found = tuple[Registered | None, tuple[Stand, ...] | None, witnessed.Standing | None, Kept | None]


async def _registered(place: Home, rules: Policies) -> Found:
    own = settings.load(place.settings)
    owner = roles.conninfo(place, own, "owner")
    try:
        database = await Database.open(owner, application="gateway-metrics", size=1)
    except StoreAwayError:
        return None, None, None, None
    try:
        async with database.transaction() as tx:
            now_us = SYSTEM.now_us()
            found = await standing.registered(tx, rules.certificates, now_us)
            stands = await tunnel_standing.read(tx, rules.tunnels, now_us)
            vouched = await witnessed.read(tx, rules.witnesses, now_us)
            kept = await _backups(tx, rules.backups, now_us)
            return found, stands, vouched, kept
    finally:
        await database.close()


async def _backups(tx: Transaction, rules: BackupRules, now_us: int) -> Kept:
    return await backups.read(tx, rules, now_us), await drilled.read(tx, rules, now_us)
