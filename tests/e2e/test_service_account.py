"""A service account at the command line against a real gateway: its secret is kept, and no person comes in between."""

import asyncio
import json
import shutil
import tempfile
from pathlib import Path

import pytest

from gateway.demo import province as provinces
from gateway.demo.host import Host
from gateway.demo.province import COUNTIES
from tests.e2e.test_certificates import told

COUNTY = COUNTIES[0]

pytestmark = [pytest.mark.serial, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def at():
    # As in test_certificates: short and passable.
    folder = Path(tempfile.mkdtemp(prefix="gateway-service-", dir="/tmp"))
    folder.chmod(0o711)
    host = Host.at(folder / "home")
    try:
        host.init(provinces.owners())
        host.start()
        yield asyncio.run(provinces.found(host)), folder
    finally:
        host.stop()
        shutil.rmtree(folder, ignore_errors=True)


def test_a_reset_account_makes_its_own_secret_and_logs_in_alone_ever_after(at):
    province, folder = at
    admin = ("-p", province.admin.profile.folder)
    profile = province.members[COUNTY].profile.folder
    own = folder / "own-password"
    own.write_text(province.admin.password.value)
    told("login", *admin, "--password-file", own)
    reset = told("account", "reset", COUNTY, "uploader", "--reason", "a new machine", *admin)
    once = folder / "once"
    once.write_text(reset["one_time_password"])
    told("login", "-p", profile, "--keep", "--password-file", once)
    kept = json.loads((profile / "secret.json").read_text())
    assert (kept["state"], kept["next"], len(kept["current"])) == ("", None, 43)
    assert kept["moment_us"] > 0
    for _ in range(2):
        (profile / "token.json").unlink(missing_ok=True)
        assert told("login", "-p", profile)["password_state"] == "current"
        assert told("whoami", "-p", profile)["account"] == "uploader"
    # The one-time password is of no use any more.
    assert (
        told("login", "-p", profile, "--password-file", once, status=1)["refused"] == "LOGIN_FAILED"
    )
    status = told("rotation", "status", province.host.home.root)
    [secret] = [
        one
        for one in status["secrets"]
        if one["kind"] == "service-secret" and one["owner"] == COUNTY and one["name"] == "uploader"
    ]
    assert not secret["late"]
