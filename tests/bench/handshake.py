"""`front.handshake`: new connections/s through the front to a door, beside grpcio's own mTLS server on the same machine.

Both take the same client (a process of its own), the same server certificate and the same client authority; a
connection counts when the first HTTP/2 SETTINGS frame came back. The front's have their origin, both verifiers, the
revocation list, the profile and the register asked, and a door behind; the limit `grpc.tls` verifies the path alone.
"""

import contextlib
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from gateway.demo.province import Province
from gateway.pki import ceremony
from tests.bench.figures import Figure, figure
from tests.bench.stage import line_of, served
from tests.bench.tls_client import Line, shaking

ROUNDS = 7
CONNECTIONS = 600
COUNTY = "140105"
# What the policy holds back from one peer: here one peer is all there is.
LIMITS = {"per_peer": 2500, "new_per_peer_per_s": 1e6, "new_per_peer_burst": 1_000_000}


def run() -> list[Figure]:
    """Measure."""
    ours: list[float] = []
    native: list[float] = []
    with served(**LIMITS) as province:
        through = line_of(province, COUNTY)
        with _grpcio(province, through) as beside:
            for _ in range(ROUNDS):
                ours.append(shaking(through, CONNECTIONS))
                native.append(shaking(beside, CONNECTIONS))
    conditions = f"{CONNECTIONS} connections, 8 at a time, TLS 1.3, client certificates P-256, to the intake door"
    return [figure("front.handshake", "connections/s", ours, {"grpc.tls": native}, (), conditions)]


@contextlib.contextmanager
def _grpcio(province: Province, line: Line) -> Iterator[Line]:
    """Run a bare grpcio server with the front's own certificate; give the way there."""
    folder = Path(tempfile.mkdtemp(prefix="gateway-bench-"))
    host = province.host
    key, chain = ceremony.server_files(host.home)
    shutil.copy(key, folder / "server.key")
    shutil.copy(chain, folder / "server.pem")
    shutil.copy(host.home.client_authority_certificate, folder / "root.pem")
    found = replace(line, port=host.base_port + 8)
    words = [sys.executable, "-m", "tests.bench.receive", str(folder)]
    process = subprocess.Popen([*words, f"{found.address}:{found.port}"], stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        yield found
    finally:
        process.terminate()
        process.wait(10)
        shutil.rmtree(folder)
