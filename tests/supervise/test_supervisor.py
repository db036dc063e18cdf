"""The supervisor with every real process: start, restart, kill -9, adoption, drain; and its leaves."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

import gateway
from gateway.config import folders, settings
from gateway.config.home import DOORS, Home
from gateway.config.policies import shipped
from gateway.pki import proof
from gateway.store import export_keys, part_key, role_passwords, roles
from gateway.store.embedded import Cluster
from gateway.supervise import state, untold

PROCESSES = {"postgres", "signer", "front", *DOORS}
WAIT_S = 60


class Served:
    """`gateway serve` of a HOME, as its operator would run it."""

    def __init__(self, home: Home) -> None:
        self.home = home
        self.process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """Start it and wait until it serves."""
        self.process = subprocess.Popen(
            [sys.executable, "-m", "gateway", "serve", str(self.home.root), "--lang", "en"],
            cwd=Path(gateway.__file__).parent.parent,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.process.stderr is not None
        for line in self.process.stderr:
            if line.startswith("the gateway serves"):
                return
        raise AssertionError((self.home.logs / "supervisor.log").read_text())

    def end(self, number: int) -> int:
        """Send it a signal and return its exit status."""
        assert self.process is not None
        assert self.process.stderr is not None
        self.process.send_signal(number)
        self.process.stderr.read()
        self.process.stderr.close()
        return self.process.wait(WAIT_S)

    def child(self, name: str) -> dict[str, object]:
        """What status.json says of a process."""
        known = state.read(self.home)
        assert known is not None
        children = known["children"]
        assert isinstance(children, dict)
        return children[name]

    def pid(self, name: str) -> int:
        found = self.child(name)["pid"]
        assert isinstance(found, int)
        return found

    def leaves(self, kind: str) -> list[dict[str, object]]:
        """The details of all leaves of a kind, oldest first."""
        conninfo = roles.conninfo(self.home, settings.load(self.home.settings), "owner")
        with psycopg.connect(conninfo) as connection:
            rows = connection.execute(
                "SELECT leaf FROM audit_entry WHERE kind = %s ORDER BY idx", [kind]
            ).fetchall()
        return [json.loads(leaf)["detail"] for (leaf,) in rows]


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WAIT_S
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def runs(pid: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.fixture
def served(founded: Home) -> Iterator[Served]:
    one = Served(founded)
    one.start()
    yield one
    if one.process is not None and one.process.poll() is None:
        one.end(signal.SIGTERM)
    Cluster(founded).stop()


def test_every_process_is_restarted_and_leaves_a_leaf(served: Served) -> None:
    assert {name for name in PROCESSES if served.child(name)["state"] == "ready"} == PROCESSES
    for name in sorted(PROCESSES - {"postgres"}):
        before = served.pid(name)
        os.kill(before, signal.SIGKILL)
        until(lambda n=name, b=before: served.child(n)["pid"] not in (None, b))
        until(lambda n=name: served.child(n)["state"] == "ready")
    killed = served.pid("postgres")
    os.kill(killed, signal.SIGKILL)
    until(lambda: served.child("postgres")["restarts"] == 1)
    until(lambda: served.child("postgres")["state"] == "ready")

    def restarted() -> set[object]:
        try:
            return {leaf["process"] for leaf in served.leaves("process.restarted")}
        except psycopg.OperationalError:
            return set()

    until(lambda: restarted() == PROCESSES)
    signals = {leaf["process"]: leaf.get("signal") for leaf in served.leaves("process.restarted")}
    assert {signals[name] for name in PROCESSES - {"postgres"}} == {int(signal.SIGKILL)}
    # One leaf that it ended, one that it serves again: never two, whatever was away meanwhile.
    first = PROCESSES - {"postgres", "signer"}
    until(lambda: told_of(served, "process.started").total() >= len(PROCESSES) + len(first))
    assert told_of(served, "process.started") == Counter([*PROCESSES, *first])
    assert told_of(served, "process.restarted") == Counter(PROCESSES)

    assert served.end(signal.SIGTERM) == 0
    assert Cluster(served.home).pid() is None
    assert state.is_served(served.home) is False


def told_of(served: Served, kind: str) -> Counter[object]:
    """How often leaves of a kind tell of each process, since the supervisor's own start."""
    conninfo = roles.conninfo(served.home, settings.load(served.home.settings), "owner")
    with psycopg.connect(conninfo) as connection:
        rows = connection.execute(
            "SELECT kind, leaf FROM audit_entry WHERE kind LIKE 'process.%' ORDER BY idx"
        ).fetchall()
    found = [(each, json.loads(leaf)["detail"]["process"]) for each, leaf in rows]
    start = max(n for n, one in enumerate(found) if one == ("process.started", "supervisor"))
    return Counter(process for each, process in found[start + 1 :] if each == kind)


def test_what_the_log_could_not_be_told_of_is_told_once(served: Served) -> None:
    before = len(served.leaves("audit.export"))
    untold.keep(served.home, "audit.export")
    until(lambda: not list(served.home.untold.iterdir()))
    [detail] = served.leaves("audit.export")[before:]
    assert set(detail) == {"first_us", "last_us"}


def opens(home: Home, role: str, password: str) -> bool:
    server = roles.server(home, settings.load(home.settings))
    try:
        psycopg.connect(
            make_conninfo(server, user=roles.role_name(role), password=password)
        ).close()
    except psycopg.OperationalError:
        return False
    return True


def test_passwords_half_changed_when_the_power_went_are_finished_and_all_change_while_it_serves(
    served: Served,
) -> None:
    """The server knows the next ones, the files the present ones: nobody of the host comes in by these."""
    home, halved = served.home, ("owner", "front", "intake")
    assert served.end(signal.SIGKILL) == -signal.SIGKILL
    for role in halved:
        folders.replace_private(roles.next_file(home, role), roles.new_password().encode())
        with psycopg.connect(
            roles.conninfo(home, settings.load(home.settings), role), autocommit=True
        ) as connection:
            roles.set_password(connection, role, roles.next_file(home, role).read_text())
        assert not opens(home, role, home.password_file(role).read_text())
    served.start()
    every = role_passwords.changeable(home)
    assert "superuser" in every
    old = {role: home.password_file(role).read_text() for role in every}
    assert [role for role in every if not opens(home, role, old[role])] == []
    before = len(served.leaves("secret.rotate"))
    changed = subprocess.run(
        [
            *(sys.executable, "-m", "gateway", "rotation", "change", str(home.root)),
            *("database-password", "--json"),
        ],
        cwd=Path(gateway.__file__).parent.parent,
        capture_output=True,
        text=True,
        timeout=WAIT_S,
    )
    assert changed.returncode == 0, changed.stderr
    assert {one["name"] for one in json.loads(changed.stdout)["done"]} == set(every)
    assert [role for role in every if opens(home, role, old[role])] == []
    assert len(served.leaves("secret.rotate")) == before + len(every)
    # Every pool must come in anew.
    os.kill(served.pid("postgres"), signal.SIGKILL)
    until(lambda: served.child("postgres")["restarts"] == 1)
    until(lambda: served.child("postgres")["state"] == "ready")
    until(
        lambda: [one for one in served.leaves("process.restarted") if one["process"] == "postgres"]
    )
    assert {served.child(name)["restarts"] for name in ("signer", "front", *DOORS)} == {0}
    assert not [*home.password_file("owner").parent.glob("*.next")]


def test_the_supervisors_death_takes_its_children_and_the_server_is_adopted(served: Served) -> None:
    pids = {name: served.pid(name) for name in PROCESSES}
    assert served.end(signal.SIGKILL) == -signal.SIGKILL
    until(lambda: not any(runs(pids[name]) for name in PROCESSES - {"postgres"}))
    assert Cluster(served.home).pid() == pids["postgres"]
    # The lock went with it; the next one serves at once, on the same server.
    served.start()
    assert served.pid("postgres") == pids["postgres"]
    second = subprocess.run(
        [sys.executable, "-m", "gateway", "serve", str(served.home.root), "--json"],
        cwd=Path(gateway.__file__).parent.parent,
        capture_output=True,
        text=True,
        timeout=WAIT_S,
    )
    assert (second.returncode, json.loads(second.stdout)["refused"]) == (1, "ALREADY_SERVED")
    assert served.end(signal.SIGTERM) == 0

    cluster = Cluster(served.home)
    cluster.start(mortal=True)
    started = [leaf["process"] for leaf in served.leaves("process.started")]
    stopped = [leaf["process"] for leaf in served.leaves("process.stopped")]
    assert started.count("supervisor") >= 2
    assert {*DOORS, "front", "signer", "postgres"} <= set(started)
    assert stopped[-1] == "supervisor"
    assert {*DOORS, "front"} <= set(stopped)
    cluster.stop()


def test_a_home_of_before_there_were_exports_is_told_what_to_copy_and_gets_its_keys(
    founded: Home,
) -> None:
    """As an update finds it: no keys, no folder, no policy files of exports."""
    home, before = founded, {}
    for name in ("rotation.toml", "activation.toml"):
        before[name] = (home.policies / name).read_bytes()
        (home.policies / name).unlink()
    lacking = [home.export_keys, *home.secrets("disclosure").glob("export*.key")]
    lacking += (part_key.path(home), part_key.public_path(home))
    for path in (*lacking, *(proof.path(home, door) for door in proof.HOLDERS)):
        path.unlink()
    shutil.rmtree(home.exports)
    refused = subprocess.run(
        [sys.executable, "-m", "gateway", "serve", str(home.root), "--json"],
        cwd=Path(gateway.__file__).parent.parent,
        capture_output=True,
        text=True,
        timeout=WAIT_S,
    )
    for name, content in before.items():
        folders.write_public(home.policies / name, content)
    told = json.loads(refused.stdout)
    assert (refused.returncode, told["refused"]) == (2, "SETTINGS_INVALID")
    assert f"from {shipped('policies')}: rotation.toml, activation.toml" in refused.stdout
    assert not home.export_keys.exists()
    served = Served(home)
    try:
        served.start()
        assert served.child("disclosure")["state"] == "ready"
        assert list(export_keys.published(home.export_keys)) == [export_keys.load(home).key_id]
        assert home.exports.is_dir()
        until(lambda: len(served.leaves("secret.made")) == 5)
        made = [leaf["secret"] for leaf in served.leaves("secret.made")]
        assert made == [
            "export-key",
            "export-token-key",
            "export-ticket-key",
            "invitation-key",
            "side-part-key",
        ]
        assert served.end(signal.SIGTERM) == 0
        served.start()
        assert len(served.leaves("secret.made")) == 5
    finally:
        if served.process is not None and served.process.poll() is None:
            served.end(signal.SIGTERM)
        Cluster(home).stop()
