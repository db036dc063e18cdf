"""A gateway behind real WireGuard, put up by the very commands of docs/operations.md, and three members.

The administrators' office, a county and another county each have a machine and a tunnel of their own; a
fourth machine, the stranger, has only a cable.
"""

import re
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from gateway.demo.province import Member
from tests.e2e.vpn import machines, walls, wireguard
from tests.e2e.vpn.blocks import block
from tests.e2e.vpn.machines import Machine, until
from tests.e2e.vpn.province import COUNTY, OTHER, PROVINCE, Province
from tests.e2e.vpn.walls import Wall
from tests.e2e.vpn.wireguard import Line

COMMON = "WireGuard"
NAMESPACE = "A namespace that holds only the tunnel"
RULE = "An interface rule and device binding"
# Who has a tunnel, and its address inside.
ADDRESSES = {PROVINCE: "10.14.0.2", COUNTY: "10.14.1.5", OTHER: "10.14.1.6"}
_SERVER_KEY = "SERVER_KEY"
_GIVEN_UP = {"cause": "unexpected-eof"}


class Namespace(Machine):
    """The namespace that holds the gateway's tunnel, for commands on the gateway's own machine."""

    def __init__(self, machine: Machine) -> None:
        """Stand inside a namespace of this machine; what is started there ends with it."""
        self._machine = machine

    def run(self, *command: object, **options: Any) -> Any:
        """Run a command as the document says: in the namespace."""
        return self._machine.run("ip", "netns", "exec", "gateway", *command, **options)


@dataclass(frozen=True, slots=True)
class Deployed:
    """The gateway's machine, the members' lines by organisation code, and who has none."""

    province: Province
    section: str
    gateway: Machine
    lines: dict[str, Line]
    stranger: Machine

    @property
    def county(self) -> Line:
        """The county that most tests are about."""
        return self.lines[COUNTY]

    @property
    def wall(self) -> Wall:
        """The packet filter where packets from elsewhere arrive."""
        return Wall(self.gateway, self.province, wireguard.DEVICE)

    @property
    def inside(self) -> Machine:
        """Where the gateway serves: its machine, or the namespace there."""
        return Namespace(self.gateway) if self.section == NAMESPACE else self.gateway

    @property
    def port(self) -> int:
        """Intake's."""
        return self.province.host.ports.intake

    def member(self, code: str) -> Member:
        """The province's is its administrator."""
        return self.province.admin if code == PROVINCE else self.province.members[code]

    def told(self, code: str, *words: object) -> dict[str, Any]:
        """Run a member's command on its own machine."""
        return self.province.told(self.lines[code].machine, self.member(code), *words)

    def works(self, code: str = COUNTY) -> None:
        """The next good call: through the member's own tunnel, with its own certificate.

        For up to a second the front believes what the VPN said before, and a machine may be busy.
        """
        until(lambda: self.comes_in(code), f"{code} in its tunnel")
        assert self.told(code, "whoami")["organisation"] == code

    def unit(self, code: str) -> str:
        """Return one of a member's units."""
        return self.member(code).units[0].unit_code

    def refusal(self, machine: Machine, member: Member) -> str:
        """Have a member refused on a machine, and return the newest reason on the log."""
        begun = self.province.size()
        self.province.refused(machine, member, "whoami")
        until(lambda: self.province.leaves(begun, decision="deny"), "a refusal's leaf")
        return str(self.province.leaves(begun, decision="deny")[-1]["reason"])

    def one_each(self, begun: int, reason: str) -> dict[str, Any]:
        """Return a leaf of a refusal after `begun`: each connection that was refused has just one.

        A client may try twice, from another port, and be gone in mid-handshake: that is a leaf of its
        own. Nothing else was refused.
        """
        until(lambda: self.province.leaves(begun, reason=reason), f"a leaf: {reason}")
        found = self.province.leaves(begun, decision="deny")
        assert len({leaf["peer"] for leaf in found}) == len(found), found
        given_up = [leaf for leaf in found if leaf.get("detail") == _GIVEN_UP]
        found = [leaf for leaf in found if leaf not in given_up]
        assert {leaf["reason"] for leaf in found} == {reason}, found
        return found[0]

    def comes_in(self, code: str) -> bool:
        """Return whether a member is let in now; what a connection is refused for is on the log."""
        words = self.province.words(self.member(code), "whoami")
        done = self.lines[code].machine.run(*words, check=False)
        return "FRONT_AWAY" not in done.stdout

    def serve(self, section: str) -> list[str]:
        """Return the document's command that serves."""
        return ["bash", "-euo", "pipefail", "-c", self.written(section, "At the gateway, then")]

    def written(self, section: str, opening: str) -> str:
        """Return a block of the document with this gateway's own HOME and ports."""
        home, ports = self.province.host.home.root, self.province.host.ports
        numbers = ports.identity, ports.intake, ports.disclosure, ports.administration
        listed = ", ".join(map(str, (*numbers, ports.enrolment)))
        text = block(section, opening).replace("/var/lib/gateway", str(home))
        return re.sub(
            r"^define PORTS = .*$", f"define PORTS = {{ {listed} }}", text, flags=re.MULTILINE
        )

    def settle(self, opening: str, wall: str = "") -> None:
        """Put the document's [origin] into the settings, and this after it."""
        origin = block(COMMON, f"HOME/settings.toml, {opening}").split("[origin]\n")[1]
        self.province.settle(origin + wall)

    @property
    def walled(self) -> str:
        """The document's [origin.wall] for this deployment."""
        section = NAMESPACE if self.section == NAMESPACE else walls.SECTION
        return block(section, "HOME/settings.toml")

    def invite(self, code: str, machine: Machine) -> None:
        """Register a member's tunnel from a machine of the admin's, and put it up at both ends."""
        line = self.lines[code]
        text = (
            self.written(COMMON, "By an admin")
            .replace(_SERVER_KEY, wireguard.server_key(self.gateway))
            .replace("KEY", line.key)
            .replace(COUNTY, code)
            .replace(ADDRESSES[COUNTY], line.address)
        )
        words = shlex.split(text.replace("\\\n", " "), comments=True)
        assert (words[0], words[-2:]) == ("gateway", ["-p", "admin"])
        said = self.province.told(machine, self.province.admin, *words[1:-2])
        line.configure(said["configuration"])
        text = self.written(COMMON, "At the gateway, for each peer").replace("KEY", line.key)
        part = text.replace(f"{ADDRESSES[COUNTY]}/32", f"{line.address}/32")
        # What `invite` prints is what the document has us write.
        assert said["gateway_peer"] in part
        self.gateway.sh(part)
        line.machine.sh(block(COMMON, "At the county, once"))


@contextmanager
def deployed(province: Province, section: str) -> Iterator[Deployed]:
    """Put everything up by this section of the document, and serve until the block ends."""
    machines.require(*wireguard.PROGRAMS, "nft")
    with machines.machines(5) as (gateway, office, county, other, stranger):
        machines.wire(gateway, office, county, other, stranger)
        gateway.sh(block(COMMON, "At the gateway, once"))
        keyed = dict(zip(ADDRESSES, (office, county, other), strict=True))
        lines = {code: _keyed(one, ADDRESSES[code]) for code, one in keyed.items()}
        made = Deployed(province, section, gateway, lines, stranger)
        made.wall.load()
        gateway.sh(made.written(section, "At the gateway, at each start"))
        made.settle("the first day")
        with province.serving(gateway, *made.serve(section)):
            province.log_in(made.inside, province.admin)
            made.invite(PROVINCE, made.inside)
        made.settle("from then on", made.walled)
        with province.serving(gateway, *made.serve(section)):
            province.log_in(office, province.admin)
            for code in (COUNTY, OTHER):
                made.invite(code, office)
                until(lambda one=code: made.comes_in(one), f"{code} in its new tunnel")
                province.log_in(keyed[code], province.members[code])
            yield made


def _keyed(machine: Machine, address: str) -> Line:
    said = machine.sh(block(COMMON, "At the county, and"))
    return Line(machine, said.strip(), address)
