"""A county's day at the command line against a real gateway: log in, upload, be killed, go on, prove, ask what was held."""

import asyncio
import json
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import pytest

from gateway.client import delimited
from gateway.client.reading import items
from gateway.demo import province as provinces
from gateway.demo.host import Host
from gateway.demo.province import COUNTIES, Member
from gateway.sample.files import UPLOADS
from gateway.v1 import upload_service_pb2 as up

COUNTY = COUNTIES[0]
CHILDREN = 400
DEADLINE_S = 60.0
_OWN_ID = {"child": "child_code", "vaccination": "record_id", "aefi_report": "report_id"}

pytestmark = [pytest.mark.serial, pytest.mark.timeout(300)]


@pytest.fixture
def folder():
    # Short, because socket paths are; passable, because as root the processes have users of their own.
    made = Path(tempfile.mkdtemp(prefix="gateway-city-", dir="/tmp"))
    made.chmod(0o711)
    yield made
    shutil.rmtree(made, ignore_errors=True)


def command(*words):
    return [sys.executable, "-m", "gateway", *map(str, words), "--json"]


def told(*words):
    ran = subprocess.run(command(*words), capture_output=True, text=True, timeout=120, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return json.loads(ran.stdout)


def cut_off(profile, *words):
    """Run an upload and kill it with SIGKILL once it holds some receipts."""
    process = subprocess.Popen(
        command(*words), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    until = time.monotonic() + DEADLINE_S
    while sum(path.stat().st_size for path in (profile / "receipts").glob("*.receipts")) < 100_000:
        assert process.poll() is None, "the upload ended before it was killed"
        assert time.monotonic() < until
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()


def test_a_county_uploads_its_records_and_holds_the_proof(folder):
    host = Host.at(folder / "home")
    try:
        host.init(provinces.owners())
        host.start()
        member = asyncio.run(provinces.found(host)).members[COUNTY]
        _day(folder, member)
    finally:
        host.stop()


def _day(folder: Path, member: Member) -> None:
    profile, sample = member.profile.folder, folder / "sample"
    secret = folder / "password"
    secret.write_text(member.password.value)
    as_us = ("-p", profile)
    assert told("login", *as_us, "--password-file", secret)["password_state"] == "current"
    assert told("whoami", *as_us)["organisation"] == COUNTY

    told("sample", "--seed", "9", "--children", CHILDREN, "--county", COUNTY, "--out", sample)
    files = [
        sample / f"{name}.{'csv' if n % 2 else 'jsonl'}" for n, (name, _) in enumerate(UPLOADS)
    ]
    upload = ("upload", *files, "--unit", member.units[0].unit_code, "--batch", "100", *as_us)
    cut_off(profile, *upload)
    result = told(*upload)
    sent = [item for file in files for item in items(file)]
    assert result["records"] == sum(result["states"].values()) == len(sent)
    assert result["states"]["duplicate"] == 0
    assert "EN-05" not in result["rules"]

    results = _results(Path(result["receipts"]))
    assert _wrong(sent, results, sample / "truth.jsonl") == Counter()
    proven = told("receipt", "verify", result["receipts"], *as_us)
    assert proven["records"] == len(sent)
    assert told(*upload) == result

    held = told("quarantine", "list", *as_us)["items"]
    states = result["states"]
    assert 0 < len(held) <= states["quarantined"] + states["rejected"]
    assert "child" in {item["kind"] for item in held}
    told("logout", *as_us)


def _results(receipts: Path) -> list[up.ItemResult]:
    """Results in the order of the records: batches are numbered as they were made."""
    ordered = sorted(delimited.read(receipts), key=lambda receipt: receipt.sequence)
    return [item for receipt in ordered for item in receipt.items]


def _wrong(
    sent: list[up.Item], results: list[up.ItemResult], truth: Path
) -> Counter[tuple[str, ...]]:
    """What was found and not planted, or planted and not found."""
    lines = [json.loads(line) for line in truth.read_text().splitlines()]
    planted = {(line["kind"], line["record_id"]): line for line in lines}
    wrong: Counter[tuple[str, ...]] = Counter()
    for item, result in zip(sent, results, strict=True):
        kind = str(item.WhichOneof("record"))
        key = (kind, str(getattr(getattr(item, kind), _OWN_ID.get(kind, "unit_code"))))
        expected = planted.pop(key, None) if kind in _OWN_ID else None
        found = sorted({f.rule_id for f in result.findings if f.severity != up.SEVERITY_INFO})
        state = up.ItemState.Name(result.state).removeprefix("ITEM_STATE_").lower()
        wanted = (sorted(expected["rules"]), expected["state"]) if expected else ([], "accepted")
        if (found, state) != wanted:
            wrong[(kind, str(wanted), str(found), state)] += 1
    wrong.update((f"not found: {key}",) for key in planted)
    return wrong
