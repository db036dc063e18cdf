"""Certificates for life at the command line against a real gateway, and the commands of docs/integrate.md as they stand there."""

import asyncio
import json
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from gateway.client import invitation
from gateway.demo import province as provinces
from gateway.demo.host import Host
from gateway.demo.province import COUNTIES
from gateway.sample.files import UPLOADS
from tests.house.tree import ROOT

# Each test has a county of its own.
UPLOADER, STRANGER = COUNTIES[:2]
DEADLINE_S = 60.0
GUIDE = ROOT / "docs" / "integrate.md"

pytestmark = [pytest.mark.serial, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def at():
    # Short, because socket paths are; passable, because as root the processes have users of their own.
    folder = Path(tempfile.mkdtemp(prefix="gateway-lives-", dir="/tmp"))
    folder.chmod(0o711)
    host = Host.at(folder / "home")
    try:
        host.init(provinces.owners())
        host.start()
        yield asyncio.run(provinces.found(host)), folder
    finally:
        host.stop()
        shutil.rmtree(folder, ignore_errors=True)


def command(*words):
    return [sys.executable, "-m", "gateway", *map(str, words), "--json"]


def told(*words, status=0, stdin=None):
    ran = subprocess.run(
        command(*words), capture_output=True, text=True, timeout=120, check=False, input=stdin
    )
    assert ran.returncode == status, ran.stdout + ran.stderr
    return json.loads(ran.stdout)


def invited(province, county):
    member = province.members[county]
    return told(
        *("certificate", "invite", "--organisation", county, "--system", "uploader"),
        *("--host", member.profile.remote.host, "-p", province.admin.profile.folder),
    )["invitation"]


def lineage(province, county, serial):
    """The certificates of a county from the one with this serial on: generation and state."""
    listed = told(
        "certificate", "list", "--organisation", county, "-p", province.admin.profile.folder
    )
    return sorted(
        (one["generation"], one["state"])
        for one in listed["certificates"]
        if one["serial"] == serial or one["generation"] > 1
    )


def test_an_upload_goes_over_to_the_certificate_that_another_process_renewed(at):
    province, folder = at
    member, profile, line = province.members[UPLOADER], folder / "p", invited(province, UPLOADER)
    first = told("enrol", "-p", profile, stdin=line + "\n")
    assert told("enrol", "-p", profile, stdin=line + "\n")["before"]
    secret = folder / "password"
    secret.write_text(member.password.value)
    told("login", "-p", profile, "--password-file", secret)
    sample = folder / "sample"
    told("sample", "--seed", "9", "--children", "400", "--county", UPLOADER, "--out", sample)
    files = [sample / f"{name}.jsonl" for name, _ in UPLOADS]
    words = ("upload", *files, "--unit", member.units[0].unit_code, "--batch", "20", "-p", profile)
    uploading = subprocess.Popen(command(*words), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    until = time.monotonic() + DEADLINE_S
    while not list((profile / "receipts").glob("*.receipts")):
        assert uploading.poll() is None, "the upload ended before anything was renewed"
        assert time.monotonic() < until
        time.sleep(0.01)
    renewed = told("certificate", "renew", "-p", profile)
    still = uploading.poll() is None
    out, _ = uploading.communicate(timeout=DEADLINE_S)
    assert uploading.returncode == 0
    result = json.loads(out)
    assert result["records"] == sum(len(file.read_text().splitlines()) for file in files)
    assert result["refused"] == {}
    assert (renewed["in_use"], still) == (True, True)
    assert (
        told("receipt", "verify", result["receipts"], "-p", profile)["records"] == result["records"]
    )
    assert lineage(province, UPLOADER, first["serial"]) == [(1, "superseded"), (2, "active")]
    # Nobody logged in again: the session went over with the certificate.
    assert told("whoami", "-p", profile)["account"] == "uploader"
    admin = ("-p", province.admin.profile.folder)
    # What weighs asks for the password of the last five minutes; the province may be older.
    own = folder / "own-password"
    own.write_text(province.admin.password.value)
    told("login", *admin, "--password-file", own)
    why = ("--reason", "cessation", "--because", "the test ends")
    who = ("--organisation", UPLOADER, "--system", "uploader")
    assert told("certificate", "revoke", *who, *why, *admin)["crl_number"] > 0
    refused = told("whoami", "-p", profile, status=1)
    assert refused["refused"] == "CERT_REVOKED"
    assert renewed["serial"] in refused["message"]
    told("enrol", "-p", profile, stdin=invited(province, UPLOADER) + "\n")
    told("login", "-p", profile, "--password-file", secret)


def blocks(heading):
    """The commands of a section of the guide."""
    section = re.split(r"(?m)^## ", GUIDE.read_text())
    [found] = [part for part in section if part.startswith(heading + "\n")]
    return "\n".join(line[4:] for line in found.splitlines() if line.startswith("    "))


@pytest.mark.skipif(
    not all(map(shutil.which, ("grpcurl", "jq", "curl", "openssl"))),
    reason="needs grpcurl, jq, curl and openssl on the path",
)
def test_a_stranger_enrols_and_renews_with_the_commands_of_the_guide(at):
    province, _ = at
    line = invitation.parse(invited(province, STRANGER))
    ports = province.members[STRANGER].profile.remote.ports
    settings = {
        "host": line.host,
        "domain": line.trust_domain,
        "code": line.code.value,
        "pin": line.pin,
        "token": "",
        "tls": f"-cacert root.pem -cert certificate.pem -key key.pem -servername {line.trust_domain} -max-time 20",
    }
    script = "\n".join(
        [
            "set -eu",
            *(f"{name}='{value}'" for name, value in settings.items()),
            blocks("Enrolling"),
            blocks("Renewing").replace(' -H "authorization: Bearer $token"', ""),
            "openssl x509 -in certificate.pem -noout -serial",
            "openssl x509 -in next-certificate.pem -noout -serial",
        ]
    )
    script = script.replace("$host:8448", f"$host:{line.port}").replace(
        "$host:8446", f"$host:{ports.identity}"
    )
    with tempfile.TemporaryDirectory(dir="/tmp") as work:
        (Path(work) / "gateway").symlink_to(ROOT / "proto" / "gateway")
        ran = subprocess.run(
            ["bash", "-c", script],
            cwd=work,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert ran.returncode == 0, ran.stdout + ran.stderr
        serials = [each.lower() for each in re.findall(r"serial=([0-9A-F]+)", ran.stdout)]
        assert (
            Path(work) / "log.vkey"
        ).read_text().strip() == province.admin.profile.remote.log_key
    states = lineage(province, STRANGER, serials[0].lstrip("0"))
    assert states == [(1, "active"), (2, "issued")]
