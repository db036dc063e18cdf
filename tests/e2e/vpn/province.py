"""A founded province whose gateway serves on a machine of the suite, and its members' commands there.

It is founded on loopback with `static`, as a gateway's first day is; from then on every profile knows the
gateway by its address in the tunnel alone. Leaves are read from the database on the host, so that looking
leaves no leaf.
"""

import asyncio
import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psycopg

from gateway.audit import heartbeat
from gateway.client import profile as profiles
from gateway.demo import province as provinces
from gateway.demo.host import Host
from gateway.demo.province import Member
from gateway.store import roles
from gateway.supervise import state
from gateway.supervise.supervisor import SERVING
from tests.e2e.vpn.machines import DEADLINE_S, Machine, until

PROVINCE, COUNTY, OTHER = provinces.PROVINCE, provinces.COUNTIES[0], provinces.COUNTIES[1]
# The gateway's address in the tunnel, and the network of all tunnels.
GATEWAY, TUNNELS = "10.14.0.1", "10.14.0.0/16"
GATEWAY_COMMAND = [sys.executable, "-m", "gateway"]
COMMAND_S = 180.0


@dataclass(slots=True)
class Province:
    """A gateway's HOME, its admin and auditor, its members by organisation code."""

    host: Host
    admin: Member
    auditor: Member
    members: dict[str, Member]

    # --- the gateway ----------------------------------------------------------------------------------

    def settle(self, origin: str, listen: str = GATEWAY) -> None:
        """Write settings with this `[origin]` table's lines; the front listens at one address."""
        settings, ports = self.host.settings, self.host.ports
        self.host.home.settings.write_text(
            f'province = "{settings.province}"\ntrust_domain = "{settings.trust_domain}"\n\n'
            f'[front]\nlisten = ["{listen}"]\n\n'
            f"[ports]\nidentity = {ports.identity}\nintake = {ports.intake}\n"
            f"disclosure = {ports.disclosure}\nadministration = {ports.administration}\n"
            f"enrolment = {ports.enrolment}\n\n[origin]\n{origin}\n",
            encoding="utf-8",
        )

    @contextmanager
    def serving(self, machine: Machine, *command: object) -> Iterator[None]:
        """Serve on a machine by `gateway serve`, or by this command, until the block ends."""
        words = command or (*GATEWAY_COMMAND, "serve", self.host.home.root)
        out = self.host.home.root / "serve.out"
        self.host.home.supervisor_status.unlink(missing_ok=True)
        begun = machine.start(*words, out=out)
        try:
            until(
                lambda: begun.poll() is not None or self._serves(),
                f"a gateway that serves:\n{out.read_text()[-3000:]}",
            )
            assert begun.poll() is None, f"gateway serve ended:\n{out.read_text()[-3000:]}"
            yield
        finally:
            # The supervisor's own number, on that machine: a shell may stand before it.
            known = state.read(self.host.home) or {}
            if begun.poll() is None and known:
                machine.run("kill", "-TERM", known["supervisor"], check=False)
            elif begun.poll() is None:
                machine.send(begun, signal.SIGTERM)
            begun.wait(DEADLINE_S)

    def _serves(self) -> bool:
        children = (state.read(self.host.home) or {}).get("children")
        return isinstance(children, dict) and all(
            children.get(name, {}).get("state") == "ready" for name in SERVING
        )

    # --- its members ----------------------------------------------------------------------------------

    def told(self, machine: Machine, member: Member, *words: object) -> dict[str, Any]:
        """Run a member's `gateway` command on a machine; what it says as JSON, failing if refused."""
        done = machine.run(*self.words(member, *words), timeout_s=COMMAND_S)
        said: dict[str, Any] = json.loads(done.stdout)
        return said

    def refused(self, machine: Machine, member: Member, *words: object) -> str:
        """Run a member's command that must fail, and return all that it said."""
        done = machine.run(*self.words(member, *words), check=False, timeout_s=COMMAND_S)
        assert done.returncode != 0, done.stdout
        return done.stdout + done.stderr

    def words(self, member: Member, *words: object) -> list[str]:
        """Return a member's command."""
        return [*GATEWAY_COMMAND, *map(str, words), "-p", str(member.profile.folder), "--json"]

    def log_in(self, machine: Machine, member: Member) -> None:
        """Log a member in; the session serves the commands that follow."""
        secret = member.profile.folder / "secret"
        secret.write_text(member.password.value)
        secret.chmod(0o600)
        try:
            self.told(machine, member, "login", "--password-file", secret)
        finally:
            secret.unlink()

    # --- what is on the log ---------------------------------------------------------------------------

    def size(self) -> int:
        """Return how many leaves the log has."""
        return int(self._sql("SELECT size FROM gateway.audit_head")[0][0])

    def leaves(self, since: int, **fields: str) -> list[dict[str, Any]]:
        """Return the leaves from an index on that have these fields, oldest first; no heartbeats."""
        rows = self._sql(
            "SELECT idx, leaf FROM gateway.audit_entry WHERE idx >= %s ORDER BY idx", since
        )
        found = [{"index": index, **json.loads(bytes(leaf))} for index, leaf in rows]
        return [
            leaf
            for leaf in found
            if fields.items() <= leaf.items() and leaf["kind"] != heartbeat.KIND
        ]

    def leaf(self, since: int, **fields: str) -> dict[str, Any]:
        """Return the one leaf with these fields; waits for it, and fails when there is another."""
        until(lambda: self.leaves(since, **fields), f"a leaf {fields} after {since}")
        found = self.leaves(since, **fields)
        assert len(found) == 1, found
        return found[0]

    def _sql(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        conninfo = roles.conninfo(self.host.home, self.host.settings, "administration")
        with psycopg.connect(conninfo) as connection:
            return connection.execute(query, values).fetchall()  # type: ignore[arg-type]  # our own text


@contextmanager
def founded(folder: Path) -> Iterator[Province]:
    """A province that was founded on loopback and serves no more; its profiles know GATEWAY."""
    host = Host.at(folder / "home")
    try:
        host.init(provinces.owners())
        host.start()
        made = asyncio.run(provinces.found(host))
    finally:
        host.stop()
    members = {code: _moved(member) for code, member in made.members.items()}
    yield Province(host, _moved(made.admin), _moved(made.auditor), members)


def _moved(member: Member) -> Member:
    """Return a member whose profile reaches the gateway in the tunnel."""
    folder = member.profile.folder
    profiles.write_remote(folder, replace(member.profile.remote, host=GATEWAY))
    return replace(member, profile=profiles.load(folder))


def ended(begun: subprocess.Popen[bytes], within_s: float = COMMAND_S) -> int:
    """Return the status of what was started, once it ended by itself."""
    return begun.wait(within_s)


def cut(province: Province, since: int, reason: str, begun_at: float) -> dict[str, Any]:
    """Return a leaf of a connection that was cut: each that stood has just one, for this reason.

    How soon is printed; `make bench` judges it. `begun_at` is of time.time(): leaves have the
    gateway's clock, which is this machine's.
    """
    until(lambda: province.leaves(since, kind="connection.cut"), f"a cut: {reason}")
    found = province.leaves(since, kind="connection.cut")
    assert {leaf["reason"] for leaf in found} == {reason}, found
    assert len({leaf["connection"] for leaf in found}) == len(found), found
    print(f"cut after {found[0]['time_us'] / 1_000_000 - begun_at:.2f} s: {reason}")
    return found[0]


NOW = time.time
