"""`memory.idle_2000`: what 2,000 idle mTLS connections cost the front; the door's growth stands in the conditions.

Five organisations hold 400 each, from processes of their own. Afterwards each must still stand and a new one be let in.
"""

import contextlib
import resource
from pathlib import Path

from gateway.demo.province import CITIES, COUNTIES, Province
from gateway.supervise import state
from tests.bench.figures import Figure, figure
from tests.bench.handshake import LIMITS
from tests.bench.stage import line_of, served
from tests.bench.tls_client import holding, shaking

ROUNDS = 5
EACH = 400
LIMIT_MIB = 300.0


def run() -> list[Figure]:
    """Measure."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    whole: list[float] = []
    growth: list[float] = []
    door: list[float] = []
    with served(**LIMITS) as province:
        lines = [line_of(province, code) for code in (*CITIES, *COUNTIES)]
        for _ in range(ROUNDS):
            before = _mib(province, "front"), _mib(province, "intake")
            with contextlib.ExitStack() as stack:
                groups = [stack.enter_context(holding(line, EACH)) for line in lines]
                assert sum(group.standing for group in groups) == EACH * len(lines)
                assert shaking(lines[0], 1) > 0
                whole.append(_mib(province, "front"))
                growth.append(whole[-1] - before[0])
                door.append(_mib(province, "intake") - before[1])
    conditions = (
        f"{EACH * len(lines)} connections of {len(lines)} organisations, resident set of the front; in the first round "
        f"the front grew by {growth[0]:,.0f} MiB, the door behind it by {door[0]:,.0f} MiB"
    )
    limits = {"limit": [LIMIT_MIB]}
    return [figure("memory.idle_2000", "MiB", whole, limits, (), conditions)]


def _mib(province: Province, process: str) -> float:
    """Return the resident set of a process of the gateway."""
    children = (state.read(province.host.home) or {})["children"]
    assert isinstance(children, dict)
    status = Path(f"/proc/{children[process]['pid']}/status").read_text()
    (line,) = [line for line in status.splitlines() if line.startswith("VmRSS:")]
    return int(line.split()[1]) / 1024
