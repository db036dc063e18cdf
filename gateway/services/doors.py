"""What stands behind each door: its services, and what each is given."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

from gateway.audit.event import Event
from gateway.audit.heartbeat import Heartbeat
from gateway.audit.parts import Sealer
from gateway.audit.recorder import Recorder
from gateway.audit.subjects import Founding
from gateway.clock import Clock
from gateway.config.disk import Disk
from gateway.config.home import Home, Listener
from gateway.config.policies import Policies
from gateway.config.settings import Settings
from gateway.exports.build import Sources
from gateway.exports.building import Builder
from gateway.exports.continuity import Continuity
from gateway.exports.keeping import Keeper
from gateway.exports.marks import Marks
from gateway.exports.moving import Mover
from gateway.exports.seal import TicketSeal
from gateway.identity import keys
from gateway.identity.age import Succession
from gateway.identity.keyring import CurrentMinter
from gateway.identity.login import Desk
from gateway.identity.passwords import Passwords
from gateway.identity.rules import Rules
from gateway.identity.unused import UnusedAccounts
from gateway.pki import authorities
from gateway.pki.issuer import Issuer
from gateway.pki.issuers import Issuers
from gateway.records.query import Bodies
from gateway.records.tables import Tables
from gateway.registry.witness_duty import WitnessDuty
from gateway.services.access import Rpc
from gateway.services.account_service import AccountService
from gateway.services.audit_service import AuditService
from gateway.services.backed import Backed
from gateway.services.break_glass_report import BreakGlassReport
from gateway.services.break_glass_service import BreakGlassService, RunningOut
from gateway.services.certificate_service import CertificateService
from gateway.services.contract import SERVICES, rpcs
from gateway.services.current import Current
from gateway.services.enrolment_service import EnrolmentService
from gateway.services.export_delivery import DeliveryService
from gateway.services.export_drafts import Drafts
from gateway.services.export_release import ReleaseService
from gateway.services.export_service import ExportService
from gateway.services.export_tickets import Ground, Tickets
from gateway.services.guard import Method
from gateway.services.health import CHECK, HealthService
from gateway.services.identity_service import IdentityService
from gateway.services.invitation_service import InvitationService
from gateway.services.log_file_service import LogFileService
from gateway.services.loss_service import LossService
from gateway.services.pages import Pages
from gateway.services.part_service import PartService
from gateway.services.permits import Permits
from gateway.services.policy_service import PolicyService
from gateway.services.reasoned import keeping
from gateway.services.register_service import RegisterService
from gateway.services.renewal_service import RenewalService
from gateway.services.tunnel_service import TunnelService
from gateway.services.upload_service import UploadService
from gateway.services.witness_service import WitnessService
from gateway.store import ticket_key
from gateway.store.database import Database
from gateway.store.export_keys import CurrentKeys
from gateway.store.seal import BlindIndex, ContentKeys, Opener
from gateway.store.seal_keys import CurrentRecipients
from gateway.uploads.batch import Intake
from gateway.vpn.duties import TunnelDuties
from gateway.vpn.static import named_tunnels

# What a door does by itself from time to time, given the event to record it under.
Chore = Callable[[Event], Awaitable[object]]


@dataclass(frozen=True, slots=True)
class Parts:
    """What a door's services are made from."""

    home: Home
    settings: Settings
    policies: Policies
    rules: Rules
    database: Database
    recorder: Recorder
    current: Current
    permits: Permits
    pages: Pages
    clock: Clock


@dataclass(frozen=True, slots=True)
class Furnished:
    """A door's methods by wire name, and what stands behind them."""

    methods: Mapping[str, tuple[Rpc, Method]]
    standing: "Standing"


@dataclass(frozen=True, slots=True)
class Standing:
    """A door's services, and what it does by itself.

    `first` before anybody is served, `chores` from time to time, `lasting` as long as it is served.
    With a `sealer` it keeps the reasons that officers give.
    """

    services: Sequence[object]
    chores: Sequence[Chore] = ()
    lasting: Sequence[Chore] = ()
    first: Sequence[Chore] = ()
    sealer: Sealer | None = None


def furnish(door: Listener, parts: Parts) -> Furnished:
    """Return what stands at a door; raises what its keys and tables raise, MissingAccessError."""
    standing = _FURNISHERS[door](parts)
    services = standing.services
    if CHECK.method in rpcs(door):
        services = [*services, HealthService(frozenset(one.full_name for one in SERVICES[door]))]
    sealer = standing.sealer
    found = {name: (rpc, _method(rpc, services, sealer)) for name, rpc in rpcs(door).items()}
    return Furnished(found, standing)


def _method(rpc: Rpc, services: Sequence[object], sealer: Sealer | None) -> Method:
    """Return the one method that serves an rpc; the services of a door share no method's name."""
    [method] = [getattr(one, rpc.name) for one in services if hasattr(one, rpc.name)]
    return keeping(rpc, method, sealer)


def _identity(parts: Parts) -> Standing:
    private = parts.home.secrets("identity") / keys.PRIVATE_FILE
    minter = CurrentMinter(private, parts.settings.trust_domain)
    desk = Desk(parts.database, parts.rules, Passwords(), minter, parts.clock)
    issuers = authorities.Current(parts.home, parts.clock)
    rules = parts.policies.certificates.renewal
    identity = IdentityService(desk, parts.current, rules, issuers)
    breaking = BreakGlassService(desk, parts.current)
    running_out = RunningOut(desk, parts.recorder)
    services = [identity, RenewalService(_issuer(parts), desk), breaking]
    return Standing(services, [running_out.look], sealer=Sealer(parts.home, parts.clock))


def _enrolment(parts: Parts) -> Standing:
    return Standing([EnrolmentService(_issuer(parts), parts.home, parts.settings)])


def _issuer(parts: Parts) -> Issuer:
    return Issuer(parts.home, parts.policies.certificates, parts.settings.trust_domain, parts.clock)


def _intake(parts: Parts) -> Standing:
    intake = Intake(
        parts.database,
        parts.recorder,
        ContentKeys(CurrentRecipients(parts.home.seal_keys), parts.clock),
        BlindIndex.load(parts.home.secrets("intake")),
        Tables.load(parts.policies.folder),
        lambda: parts.current.known,
        parts.clock,
    )
    warnings = parts.policies.certificates.warnings
    service = UploadService(
        intake, parts.current, parts.permits, parts.pages, warnings, parts.clock
    )
    return Standing([service, LossService(parts.home, parts.clock)], [intake.sweep])


def _administration(parts: Parts) -> Standing:
    divisions = Tables.load(parts.policies.folder).divisions
    register = RegisterService(
        parts.current, parts.pages, divisions, parts.settings.trust_domain, parts.clock
    )
    accounts = AccountService(
        parts.database, parts.current, parts.pages, Passwords(), parts.rules, parts.clock
    )
    rules = parts.policies.certificates
    shared = (parts.home, parts.database, parts.current, parts.permits, parts.pages)
    invitations = InvitationService(*shared, rules.enrolment, parts.clock)
    certificates = CertificateService(*shared, rules.warnings, parts.clock)
    ages = parts.policies.tunnels
    tunnels = TunnelService(parts.database, parts.current, parts.pages, ages, parts.clock)
    duties = TunnelDuties(parts.database, parts.recorder, ages, parts.clock)
    unused = UnusedAccounts(parts.database, parts.recorder, parts.rules, parts.clock)
    report = BreakGlassReport(parts.database, parts.rules.break_glass, parts.clock)
    succession = Succession(parts.recorder, parts.rules, parts.clock)
    signing = parts.policies.activation
    signed = PolicyService(parts.database, parts.current, signing, parts.clock)
    services = [register, accounts, invitations, certificates, tunnels, report, signed]
    logged, policy = (parts.database, parts.recorder), parts.policies.witnesses
    vouching = WitnessService(parts.home, *logged, policy, parts.clock)
    watch = WitnessDuty(*logged, policy, parts.clock)
    heart = Heartbeat(parts.recorder, parts.settings.log.heartbeat_s, parts.clock)
    founding = Founding(parts.home, parts.clock, parts.database)
    chores = [duties.look, unused.look, succession.look, watch.look, founding.look]
    every = [*services, vouching, *_log_services(parts)]
    sealer = Sealer(parts.home, parts.clock)
    return Standing(every, chores, [heart.serve], [founding.look], sealer)


def _log_services(parts: Parts) -> list[object]:
    """Return what shows the log: leaves, files, side parts."""
    shared = (parts.database, parts.recorder, parts.current, parts.permits)
    opener = Opener.load(parts.home.secrets("administration"))
    files, sealed = LogFileService(parts.database), PartService(*shared, opener)
    return [AuditService(*shared, parts.pages, parts.home), files, sealed]


def _ground(parts: Parts, tables: Tables) -> Ground:
    """Return what tickets are judged by."""
    home, domain = parts.home, parts.settings.trust_domain
    issuers = (Issuers(home, domain), Issuers(home, domain, former=True))
    seal = TicketSeal(ticket_key.load(home), Marks(home.exports))
    return Ground(tables.divisions, domain, named_tunnels(parts.settings.origin), *issuers, seal)


def _room(parts: Parts) -> Callable[[], Awaitable[bool]]:
    """Return who says whether an export may be built: there is room, and a backup."""
    disk = Disk.of(parts.home)
    backed = Backed(parts.database, parts.policies.backups, parts.clock)

    async def room() -> bool:
        return disk.allows("exports") and await backed.allows()

    return room


def _disclosure(parts: Parts) -> Standing:
    tables, secrets = Tables.load(parts.policies.folder), parts.home.secrets("disclosure")
    ground = _ground(parts, tables)
    tickets = Tickets(parts.database, parts.current, parts.permits, ground, parts.clock)
    bodies = Bodies(Opener.load(secrets), BlindIndex.load(secrets))
    drafts = Drafts(tickets, bodies, tables)
    current = parts.current
    mover = Mover(
        parts.database,
        parts.recorder,
        lambda: current.export_rules.approvals,
        parts.clock,
        ground.seal,
    )
    continuity = Continuity(mover, parts.home.exports)
    signing = CurrentKeys(parts.home)
    sources = Sources(parts.database, bodies, signing.keys, parts.home.exports, parts.clock)
    builder = Builder(
        sources,
        mover,
        lambda: current.engine,
        tickets.around,
        lambda: current.export_rules.plan.whole_birth_for,
        _room(parts),
    )
    keeper = Keeper(
        mover, parts.recorder, lambda: current.engine, tickets.around, parts.home.exports
    )
    delivery = DeliveryService(
        tickets, parts.current, parts.recorder, parts.home.exports, signing.published
    )
    service = ExportService(tickets, drafts, parts.current, parts.pages)
    services = [service, delivery, ReleaseService(tickets)]
    sealer = Sealer(parts.home, parts.clock)
    chores = [continuity.look, mover.expire, builder.look, keeper.look]
    return Standing(services, chores, [builder.serve, continuity.serve], [continuity.look], sealer)


_FURNISHERS: Mapping[Listener, Callable[[Parts], Standing]] = {
    "identity": _identity,
    "enrolment": _enrolment,
    "intake": _intake,
    "disclosure": _disclosure,
    "administration": _administration,
}
