"""A stranger's Java client, built from the .proto files alone, logs in, uploads and checks its receipt.

Built by Maven from tests/e2e/java, which docs/integrate.md shows; `make e2e-java` runs it.
"""

import asyncio
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

from gateway.demo import province as provinces
from gateway.demo.host import Host
from gateway.demo.province import COUNTIES

PROJECT = Path(__file__).parent / "java"
# The first build fetches grpc-java.
BUILD_TIMEOUT_S = 600
RUN_TIMEOUT_S = 120
MISSING = [tool for tool in ("mvn", "javac") if shutil.which(tool) is None]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.serial,
    pytest.mark.timeout(BUILD_TIMEOUT_S + RUN_TIMEOUT_S),
    pytest.mark.skipif(
        bool(MISSING), reason=f"needs a JDK and Maven: no {', '.join(MISSING)} here"
    ),
]


def maven(target, goal, timeout_s, *more):
    command = [
        "mvn",
        "-q",
        "-B",
        "-ntp",
        "-f",
        PROJECT / "pom.xml",
        f"-Dtarget={target}",
        goal,
        *more,
    ]
    return subprocess.run(command, capture_output=True, text=True, timeout=timeout_s, check=False)


@pytest.fixture
def folder():
    # Short, because socket paths are; passable, because as root the processes have users of their own.
    made = Path(tempfile.mkdtemp(prefix="gateway-java-", dir="/tmp"))
    made.chmod(0o711)
    yield made
    shutil.rmtree(made, ignore_errors=True)


def test_a_stranger_in_java_uploads_and_holds_a_receipt(folder):
    built = maven(folder / "target", "compile", BUILD_TIMEOUT_S)
    if "Could not transfer artifact" in built.stdout:
        pytest.skip("Maven cannot reach its repository")
    assert built.returncode == 0, built.stdout + built.stderr
    host = Host.at(folder / "home")
    try:
        host.init(provinces.owners())
        host.start()
        member = asyncio.run(provinces.found(host)).members[COUNTIES[0]]
        profile, remote = member.profile, member.profile.remote
        password = folder / "password"
        password.write_text(member.password.value)
        arguments = [
            f"{remote.host}:{remote.ports.identity}",
            f"{remote.host}:{remote.ports.intake}",
            remote.server_name,
            profile.root,
            profile.certificate,
            profile.key,
            remote.account,
            password,
            "-",
            member.units[0].unit_code,
            member.code,
            host.home.log_key,
        ]
        ran = maven(
            folder / "target",
            "exec:java",
            RUN_TIMEOUT_S,
            f"-Dexec.args={' '.join(map(str, arguments))}",
        )
    finally:
        host.stop()
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "0 ITEM_STATE_" in ran.stdout
    assert '"kind":"upload"' in ran.stdout
    assert "proven: entry " in ran.stdout
