"""Each command that acts on the host leaves exactly one leaf, of the kind that `gateway/cli/acts.py` names; refused ones too.

Those that need no more than a front that serves are run here, one after another, and all that comes onto the log meanwhile is
counted. The others are counted where their ground stands: COUNTED names test and file, and a command in neither fails.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gateway.backups import recipients
from gateway.cli.acts import ACTS, Leaf
from gateway.clock import SYSTEM
from gateway.config.home import Home
from gateway.pki import ceremony, keys
from tests.cli.small_admin import cli
from tests.cli.test_ceremony_host import Encoding, Foreign, x509_pem
from tests.cli.test_certificate import Host, hosted
from tests.cli.test_certificate_replay import _in_database
from tests.cli.test_policy_change import founded as in_force
from tests.cli.test_policy_change import new
from tests.front.stage import Stage
from tests.house.tree import ROOT
from tests.pki.forge import Ca

# By command: the test that counts its leaves.
COUNTED = {
    "audit forget-quarter": "tests/cli/test_audit_parts.py",
    "audit shred": "tests/cli/test_audit_parts.py",
    "backup check": "tests/cli/test_backup.py::test_a_spoilt_one_is_told_and_recorded_and_the_next_is_good",
    "backup create": "tests/cli/test_backup.py::test_a_backup_from_its_recipient_to_its_rehearsal",
    "backup drill": "tests/cli/test_backup_drill.py::test_good_or_not_it_is_one_leaf_and_the_next_is_good",
    # Made and kept are two acts: `backup.create` once, `backup.keep` each time.
    "backup keep": "tests/cli/test_backup_keep.py::test_it_is_made_in_all_places_and_once",
    "backup rehearse": "tests/cli/test_backup.py::test_a_backup_from_its_recipient_to_its_rehearsal",
    "backup restore": "tests/backups/test_restoring.py::test_what_was_is_again",
    # A leaf where a line begins, one where nothing could be sent; the segments themselves are signed by the line.
    "backup wal": "tests/cli/test_backup_wal.py::test_it_is_sent_at_a_word",
    "certificate confirm": "tests/cli/test_certificate_confirm.py::test_the_host_confirms_and_an_alert_tells",
    "certificate replay": "tests/coverage/test_host_acts.py::test_a_replay_is_one_leaf",
    "init": "tests/cli/test_init.py::test_a_new_gateway_has_everything",
    "rotation change": "tests/supervise/test_supervisor.py"
    "::test_passwords_half_changed_when_the_power_went_are_finished_and_all_change_while_it_serves",
    "rotation run": "tests/cli/test_rotation.py::test_run_does_what_is_due_and_says_so",
    "run": "tests/coverage/test_loaded.py"
    "::test_a_changed_setting_and_a_changed_policy_are_seen_between_two_starts",
    "serve": "tests/supervise/test_supervisor.py::test_every_process_is_restarted_and_leaves_a_leaf",
    "signer resume": "tests/cli/test_signer.py::test_a_crash_after_the_leaf_ends_with_one_leaf",
}
# What nobody was asked about is no act: wrong usage, a file that is none. It changes nothing and has no leaf.
__all__ = ["new"]


@dataclass
class Ground:
    """What the steps hand on to those that follow."""

    host: Host
    at: Stage
    folder: Path
    policies: Path
    known: dict[str, str] = field(default_factory=dict)

    @property
    def home(self) -> str:
        return str(self.at.home.root)

    def file(self, name: str, content: bytes) -> str:
        path = self.folder / name
        path.write_bytes(content)
        return str(path)


@dataclass(frozen=True)
class Step:
    """A command, its words after its name, and whether it is allowed; `keep` takes what it told."""

    command: str
    words: Callable[[Ground], tuple[str, ...]]
    decision: str = "allow"
    status: int = 0
    keep: Callable[[Ground, Any], None] = lambda *_: None


def _refused(command: str, words: Callable[[Ground], tuple[str, ...]]) -> Step:
    return Step(command, words, "deny", 1)


def _issue(system: str) -> Callable[[Ground], tuple[str, ...]]:
    where = ("--organisation", "140100", "--system", system)
    return lambda g: (g.home, "--out", str(g.folder / system), *where)


def _keep_serial(ground: Ground, told: Any) -> None:
    ground.known["serial"] = told["serial"]


def _revoke(ground: Ground) -> tuple[str, ...]:
    return ground.home, "--serial", ground.known["serial"], "--reason", "key-compromise"


def _sign(ground: Ground) -> tuple[str, ...]:
    return ground.home, str(ground.folder / "signed.pem")


def _stranger(ground: Ground) -> tuple[str, ...]:
    made = ceremony.pem(Ca.make(SYSTEM.now_us()).client.certificate)
    return ground.home, ground.file("stranger.pem", made)


def _own(ground: Ground) -> str:
    public = ceremony.client_authority(ground.at.home).certificate.public_key()
    return ground.known.setdefault("own", keys.spki_sha256(public).hex()[:16])


def _foreign(ground: Ground) -> tuple[str, ...]:
    return ground.home, str(ground.folder / "foreign.pem")


STEPS = (
    _refused("certificate issue", _issue("unknown")),
    Step("certificate issue", _issue("his"), keep=_keep_serial),
    Step("certificate list", lambda g: (g.home,)),
    Step("certificate show", lambda g: (g.known["serial"], g.home)),
    # It was looked for, and the answer was that there is none.
    Step("certificate show", lambda g: ("ff", g.home), status=1),
    Step("certificate renew-server", lambda g: (g.home,)),
    Step("certificate revoke", _revoke),
    _refused("certificate revoke", _revoke),
    _refused("certificate ceremony retire", lambda g: (g.home, "--authority", _own(g))),
    Step(
        "certificate ceremony request",
        lambda g: (g.home, "--kind", "client-authority", "--out", str(g.folder / "request.csr")),
    ),
    _refused("certificate ceremony install", _stranger),
    Step("certificate ceremony install", _sign),
    Step("certificate ceremony retire", lambda g: (g.home, "--authority", _own(g))),
    _refused("certificate register", _foreign),
    Step(
        "certificate ceremony trust",
        lambda g: (
            *(g.home, "--authority", str(g.folder / "foreign-ca.pem")),
            *("--crl", str(g.folder / "foreign.crl")),
        ),
    ),
    Step("certificate register", _foreign),
    _refused("certificate register", _foreign),
    Step("policy simulate", lambda g: (g.home, str(g.policies))),
    Step("policy propose", lambda g: (g.home, str(g.policies))),
    Step("audit export", lambda g: (g.home, str(g.folder / "log"))),
    Step("backup losses", lambda g: (g.home,)),
    Step("backup recipient add", lambda g: (g.home, "safe", recipients.new()[1])),
    _refused("backup recipient add", lambda g: (g.home, "safe", recipients.new()[1])),
    Step("backup recipient remove", lambda g: (g.home, "safe")),
    _refused("backup recipient remove", lambda g: (g.home, "safe")),
)


async def _prepare(ground: Ground) -> None:
    await in_force(ground.at)
    foreign = Foreign.make(SYSTEM.now_us())
    ground.file("foreign-ca.pem", ceremony.pem(foreign.certificate))
    ground.file("foreign.crl", foreign.revocations().public_bytes(Encoding.DER))
    ground.file("foreign.pem", x509_pem(foreign.good().chain[0]))


async def _in_the_safe(ground: Ground) -> None:
    """Between request and installation: another machine signs."""
    signed = (
        *("certificate", "ceremony", "sign", "--root", str(ground.at.home.offline)),
        *("--request", str(ground.folder / "request.csr"), "--kind", "client-authority"),
        *("--out", str(ground.folder / "signed.pem"), "--yes"),
    )
    await ground.host.told(*signed)


def test_each_command_leaves_one_leaf_allowed_or_refused(
    cluster, database_settings, capsys, tmp_path: Path, new: Path
):
    async def work(host: Host, at: Stage) -> None:
        ground = Ground(host, at, tmp_path, new)
        await _prepare(ground)
        for step in STEPS:
            if step.command == "certificate ceremony install" and step.decision == "allow":
                await _in_the_safe(ground)
            before = len(at.leaves())
            words = step.words(ground)
            told = await host.told(*step.command.split(), *words, status=step.status)
            found = at.leaves()[before:]
            assert len(found) == 1, (step.command, words[1:], found)
            [leaf] = found
            known = ACTS[step.command]
            assert isinstance(known, Leaf)
            assert leaf["kind"] in known.kinds, step.command
            assert (leaf["decision"], leaf["door"]) == (step.decision, "host"), step.command
            if step.status == 0:
                step.keep(ground, told)

    hosted(cluster, database_settings, capsys, work)


def test_a_replay_is_one_leaf(founded: Home, capsys):
    """On a database that nobody serves, whether there was anything to revoke or not."""

    async def kinds(tx) -> list[str]:
        rows = await tx.fetch("SELECT kind, decision FROM gateway.audit_entry ORDER BY idx")
        return [f"{kind} {decision}" for kind, decision in rows]

    for _ in range(2):
        before = _in_database(founded, kinds)
        assert cli("certificate", "replay", str(founded.root), "--json") == 0
        capsys.readouterr()
        assert _in_database(founded, kinds)[len(before) :] == ["admin.certificate.replay allow"]


def test_every_command_is_run_here_or_counted_where_it_is_run():
    told = {command for command, what in ACTS.items() if isinstance(what, Leaf)}
    run = {step.command for step in STEPS}
    assert run <= told
    assert told <= run | set(COUNTED)
    for command in told - run:
        file, _, test = COUNTED[command].partition("::")
        text = (ROOT / file).read_text(encoding="utf-8")
        assert f"def {test or 'test_'}" in text, command
