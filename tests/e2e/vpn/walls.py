"""The packet filter of docs/operations.md on the gateway's machine: what it counted, and what the log says of it."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tests.e2e.vpn.blocks import block
from tests.e2e.vpn.machines import Machine, until
from tests.e2e.vpn.province import Province

SECTION = "What is refused past the tunnel"
BYPASS, OUTSIDE, SPOOFED = "bypass", "outside", "spoofed"
_TABLE = ("inet", "gateway_wall")


@dataclass(frozen=True, slots=True)
class Wall:
    """The filter in front of a gateway whose tunnels end at `device`."""

    machine: Machine
    province: Province
    device: str

    def load(self) -> None:
        """Load it as the document says."""
        self.machine.sh(self._written())

    def _written(self) -> str:
        ports = self.province.host.ports
        doors = ports.identity, ports.intake, ports.disclosure, ports.administration
        listed = ", ".join(map(str, (*doors, ports.enrolment)))
        text = block(SECTION, "At the gateway, at each start")
        for name, value in (("PORTS", f"{{ {listed} }}"), ("DEVICE", f'"{self.device}"')):
            text, found = re.subn(
                rf"^define {name} = .*$", f"define {name} = {value}", text, flags=re.MULTILINE
            )
            assert found == 1
        return text

    def counted(self) -> dict[str, int]:
        """Return the packets of each counter, as nft itself says."""
        said = json.loads(
            self.machine.run("nft", "-j", "list", "counters", "table", *_TABLE).stdout
        )
        found = (one["counter"] for one in said["nftables"] if "counter" in one)
        return {one["name"]: one["packets"] for one in found}

    @contextmanager
    def attempt(self, counter: str) -> Iterator[None]:
        """What is tried in the block is one leaf, with as many packets as this counter has risen by."""
        before, begun = self.counted(), self.province.size()
        yield
        leaf = self.province.leaf(begun, kind="origin.outside")
        assert (leaf["decision"], leaf["reason"]) == ("deny", "ORIGIN_NOT_TUNNEL")
        told = leaf["detail"]
        assert (told["counter"], told["alert"]) == (counter, "origin-outside")
        rose = {name: packets - before[name] for name, packets in self.counted().items()}
        assert rose == {**dict.fromkeys(rose, 0), counter: leaf["counts"]["packets"]}
        # Nothing else is told of it; of processes the supervisor may tell late.
        others = self.province.leaves(begun)
        assert [one for one in others if not one["kind"].startswith("process.")] == [leaf]

    @contextmanager
    def away(self) -> Iterator[None]:
        """It is taken down within the block: an alarm, once, and its return is told."""
        begun = self.province.size()
        self.machine.run("nft", "delete", "table", *_TABLE)
        try:
            fallen = self.province.leaf(begun, kind="origin.wall")
            assert fallen["decision"] == "error"
            assert fallen["detail"] == {"alert": "wall-down", "state": "down", "cause": "gone"}
            yield
        finally:
            self.load()
        until(lambda: len(self.province.leaves(begun, kind="origin.wall")) > 1, "its return")
        told = [leaf["detail"]["state"] for leaf in self.province.leaves(begun, kind="origin.wall")]
        assert told == ["down", "standing"]
