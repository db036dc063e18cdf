"""What the log is told of each command: one list, held against the commands by a test.

A command is an act where it changes something of a gateway, or lets out what its log or its records
hold. Each act is told in one of three ways:

    Door    by the door whose rpc it calls, allowed or refused
    Leaf    by a leaf of its own kind, which the command, or the process it starts, commits
    NONE    it is no act: it works on files of whoever runs it, or shows how the gateway is (no
            record, no leaf, no secret)
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True, slots=True)
class Door:
    """Told by the doors; these rpcs are called, besides those by which one logs in."""

    rpcs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Leaf:
    """Told on the host, by a leaf of one of these kinds; the test that looks for it."""

    kinds: tuple[str, ...]
    test: str


@dataclass(frozen=True, slots=True)
class Nothing:
    """No act."""


NONE = Nothing()
Told = Door | Leaf | Nothing


def _door(*rpcs: str) -> Door:
    return Door(rpcs)


_CEREMONY = Leaf(("admin.certificate.ceremony",), "tests/cli/test_ceremony_host.py")
_SECRETS = Leaf(("secret.*",), "tests/supervise/test_rotation.py")
_RECIPIENT = Leaf(("backup.recipient",), "tests/backups/test_recipients.py")
_TUNNEL = _door("SetTunnelState")
_ACCOUNT = _door("SetAccountState")
_ORGANISATION = _door("SetOrganisationState")

# By the words of the command. One that works in either way, on the host and through a door
# (certificate revoke [HOME]), names its leaf here: the coverage of the rpcs holds the other.
ACTS: Mapping[str, Told] = MappingProxyType(
    {
        # on the host
        "init": Leaf(("log.start",), "tests/cli/test_init.py"),
        "run": Leaf(("policies.load",), "tests/services/test_server.py"),
        "serve": Leaf(
            ("process.started", "process.restarted", "process.stopped"),
            "tests/supervise/test_supervisor.py",
        ),
        "audit export": Leaf(("audit.export",), "tests/cli/test_audit_folder.py"),
        "audit forget-quarter": Leaf(("audit.forget",), "tests/cli/test_audit_parts.py"),
        "audit shred": Leaf(("audit.shred",), "tests/cli/test_audit_parts.py"),
        "backup check": Leaf(("backup.check",), "tests/cli/test_backup.py"),
        "backup keep": Leaf(("backup.create", "backup.keep"), "tests/cli/test_backup_keep.py"),
        "backup wal": Leaf(("backup.wal",), "tests/cli/test_backup_wal.py"),
        "backup create": Leaf(("backup.create",), "tests/cli/test_backup.py"),
        "backup drill": Leaf(("backup.drill",), "tests/cli/test_backup_drill.py"),
        "backup losses": Leaf(("backup.losses",), "tests/cli/test_backup_losses.py"),
        "backup recipient add": _RECIPIENT,
        "backup recipient remove": _RECIPIENT,
        "backup rehearse": Leaf(("backup.rehearse",), "tests/cli/test_backup.py"),
        "backup restore": Leaf(("backup.restore",), "tests/backups/test_restoring.py"),
        "certificate ceremony install": _CEREMONY,
        "certificate ceremony request": _CEREMONY,
        "certificate ceremony retire": _CEREMONY,
        "certificate ceremony trust": _CEREMONY,
        "certificate confirm": Leaf(
            ("admin.certificate.confirm",), "tests/cli/test_certificate_confirm.py"
        ),
        "certificate issue": Leaf(("admin.certificate.issue",), "tests/cli/test_certificate.py"),
        "certificate list": Leaf(("admin.certificate.list",), "tests/cli/test_certificate_list.py"),
        "certificate show": Leaf(("admin.certificate.list",), "tests/cli/test_certificate_list.py"),
        "certificate register": Leaf(
            ("admin.certificate.register",), "tests/cli/test_ceremony_host.py"
        ),
        "certificate renew-server": Leaf(
            ("admin.certificate.server",), "tests/cli/test_certificate.py"
        ),
        "certificate replay": Leaf(
            ("admin.certificate.replay",), "tests/cli/test_certificate_replay.py"
        ),
        "certificate revoke": Leaf(("admin.certificate.revoke",), "tests/cli/test_certificate.py"),
        "policy propose": Leaf(("policies.propose",), "tests/cli/test_policy_change.py"),
        "policy simulate": Leaf(("policies.simulate",), "tests/cli/test_policy_change.py"),
        "rotation change": _SECRETS,
        "rotation run": _SECRETS,
        "signer resume": Leaf(("log.signer",), "tests/cli/test_signer.py"),
        # through a door
        "account add": _door("CreateAccount"),
        "account list": _door("ListAccounts"),
        "account reset": _door("ResetPassword"),
        "account resume": _ACCOUNT,
        "account roles": _door("SetAccountRoles"),
        "account suspend": _ACCOUNT,
        "account unlock": _door("UnlockAccount"),
        "audit compare": _door("GetConsistencyProof"),
        "audit part": _door("GetSealedPart"),
        "audit mirror": _door("GetLogFile"),
        "audit search": _door("SearchLeaves"),
        "audit show": _door("GetLeaf"),
        "audit tail": _door("SearchLeaves"),
        "audit witness": _door("AddCosignatures"),
        "audit witness-add": _door("RegisterWitness"),
        "audit witness-end": _door("EndWitness"),
        "break-glass close": _door("CloseBreakGlass"),
        "break-glass code": _door("RegisterBreakGlassCode"),
        "break-glass confirm": _door("ConfirmBreakGlass"),
        "break-glass drill": _door("OpenBreakGlass"),
        "break-glass enter": _door("EnterBreakGlass"),
        "break-glass open": _door("OpenBreakGlass"),
        "break-glass seal": _door("SealBreakGlass"),
        "break-glass show": _door("GetBreakGlass"),
        "certificate approve": _door("ApproveEnrolment"),
        "certificate cancel": _door("CancelInvitation"),
        "certificate invitations": _door("ListInvitations"),
        "certificate invite": _door("InviteCertificate"),
        "certificate renew": _door("RenewCertificate"),
        "enrol": _door("Enrol"),
        "export acknowledge": _door("AcknowledgeExport"),
        "export approve": _door("ApproveExport"),
        "export deny": _door("DenyExport"),
        "export destroyed": _door("AttestDestruction"),
        "export download": _door("DownloadExport", "ReceiveExport", "ReleaseExport"),
        "export hold": _door("HoldExport"),
        "export list": _door("ListExports"),
        "export recall": _door("RecallExport"),
        "export request": _door("DraftExport"),
        "export revoke": _door("RevokeExport"),
        "export show": _door("GetExport"),
        "export submit": _door("SubmitExport"),
        "export unhold": _door("UnholdExport"),
        "export withdraw": _door("WithdrawExport"),
        "login": _door("Login"),
        "logout": _door("Logout"),
        "organisation add": _door("CreateOrganisation"),
        "organisation list": _door("ListOrganisations"),
        "organisation resume": _ORGANISATION,
        "organisation suspend": _ORGANISATION,
        "passwd": _door("ChangePassword"),
        "policy approve": _door("ApprovePolicies"),
        "policy pending": _door("GetPolicies"),
        "quarantine list": _door("ListQuarantine"),
        "system add": _door("CreateSystem"),
        "tunnel add": _door("AddTunnel"),
        "tunnel invite": _door("AddTunnel"),
        "tunnel list": _door("ListTunnels"),
        "tunnel lock": _TUNNEL,
        "tunnel relate": _door("SetRelation"),
        "tunnel remove": _TUNNEL,
        "tunnel rotate": _door("AddTunnel"),
        "tunnel show": _door("ListTunnels"),
        "tunnel unlock": _TUNNEL,
        "unit add": _door("RegisterUnits"),
        "unit list": _door("ListUnits"),
        "upload": _door("UploadBatches", "PresentLostReceipts"),
        "whoami": _door("WhoAmI"),
        # no acts: they work on files of whoever runs them, or on nothing
        "audit contradiction": NONE,
        "audit verify": NONE,
        "backup advise": NONE,
        "backup approve": NONE,
        "backup list": NONE,
        "backup recipient new": NONE,
        "certificate ceremony root": NONE,
        "certificate ceremony server-authority": NONE,
        "certificate ceremony sign": NONE,
        "certificate check": NONE,
        "certificate pkcs12": NONE,
        "policy check": NONE,
        "policy show": NONE,
        "policy test": NONE,
        "profile add": NONE,
        "receipt show": NONE,
        "receipt verify": NONE,
        "sample": NONE,
        "signer approve": NONE,
        # no acts: how the gateway is
        "backup recipient list": NONE,
        "doctor": NONE,
        "metrics": NONE,
        "rotation status": NONE,
        "signer request": NONE,
        "status": NONE,
    }
)
