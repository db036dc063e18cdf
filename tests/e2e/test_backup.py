"""A province is lost with its whole HOME and comes back from one backup, by the commands of docs/backups.md."""

import asyncio
import json
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import psycopg
import pytest

from gateway.config import settings
from gateway.config.home import Home
from gateway.demo import province as provinces
from gateway.demo.host import Host
from gateway.demo.province import COUNTIES, PROVINCE, PROVINCE_OCTET
from gateway.demo.uploading import batches, centre_code, generate, late_cards, records, send
from gateway.sample.files import UPLOADS
from gateway.store import roles
from gateway.v1 import options_pb2 as options
from tests.house.tree import ROOT

pytestmark = [pytest.mark.serial, pytest.mark.timeout(600)]
PAGE = (ROOT / "docs/backups.md").read_text(encoding="utf-8")
OFFICERS = ("zhao", "qian")


def told(line: str, **places: object) -> dict:
    """Run a command of the page, with what stands in capitals, and the files, filled in."""
    command, _, _ = line.partition("#")
    for word, place in places.items():
        command = re.sub(rf"(?<!\w){re.escape(word)}(?!\w)", str(place), command)
    words = command.split()[1:]
    ran = subprocess.run(
        [sys.executable, "-m", "gateway", *words, "--json"],
        capture_output=True, text=True, timeout=300, check=False, cwd=ROOT,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return json.loads(ran.stdout)


def line(start: str) -> str:
    """The page's line of a command."""
    [found] = [one.strip() for one in PAGE.splitlines() if one.startswith(f"    {start}")]
    return found


async def enlist(province) -> dict[str, Path]:
    """Two security officers of the province; their profiles' folders."""
    channels = province.admin.channels()
    try:
        clerk = provinces._Clerk(province.host, channels, province.admin.session(channels))
        address = province.host.address(PROVINCE_OCTET)
        role = options.ROLE_SECURITY_OFFICER
        return {
            name: (await clerk._enlist(PROVINCE, name, role, address)).folder for name in OFFICERS
        }
    finally:
        await channels.close()


def at_a_city(folder: Path, province):
    """A county's uploading command, its profile's folder, and its files."""
    code = list(COUNTIES)[2]
    member, secret, sample = province.members[code], folder / "password", folder / "sample"
    secret.write_text(member.password.value)
    told(f"    gateway sample --seed 9 --children 30 --county {code} --out {sample}")
    files = [sample / f"{name}.jsonl" for name, _ in UPLOADS]
    profile, unit = member.profile.folder, member.units[0].unit_code
    words = f"--unit {unit} --batch 20 -p {profile} --password-file {secret}"

    def upload(*some: Path) -> dict:
        return told(f"    gateway upload {' '.join(map(str, some))} {words}")

    return upload, profile, files


def counts(home: Home) -> dict[str, int]:
    conninfo = roles.conninfo(home, settings.load(home.settings), "owner")
    with psycopg.connect(conninfo) as connection:
        return {
            table: connection.execute(f"SELECT count(*) FROM gateway.{table}").fetchone()[0]
            for table in ("child", "dose", "batch", "held")
        }


def test_a_lost_province_comes_back(capsys, monkeypatch) -> None:
    monkeypatch.setattr("gateway.demo.host.START_TIMEOUT_S", 240.0)  # a busy machine is no fault
    folder = Path(tempfile.mkdtemp(prefix="gw-", dir="/tmp"))
    folder.chmod(0o711)
    host = Host.at(folder / "home")
    try:
        host.init(provinces.owners())
        host.start()
        lost_and_found(host, folder, capsys)
    finally:
        host.stop()
        shutil.rmtree(folder, ignore_errors=True)


def lost_and_found(host: Host, folder: Path, capsys) -> None:
    province = asyncio.run(provinces.found(host))
    officers = asyncio.run(enlist(province))
    load = generate(province, seed=8, children=40)
    first, second = (
        list(batches(centre_code(code), records(families), late_cards(families)))
        for code, families in list(load.families.items())[:2]
    )
    county, other = (province.members[code] for code in list(COUNTIES)[:2])
    asyncio.run(send(county, iter(first), lambda _: None))
    city, profile, files = at_a_city(folder, province)
    sent = city(files[0])
    before = counts(host.home)
    assert before["child"] > 0
    assert before["dose"] > 0
    home, place, key = host.home.root, folder / "place", folder / "safe-1.key"
    at = {"HOME": home, "/mnt/backup": place, "safe-1.key": key}
    made = told(line("gateway backup recipient new"), **at)
    told(line("gateway backup recipient add"), **{**at, "age1…": made["recipient"]})
    backup = Path(told(line("gateway backup create"), **at)["folder"])
    later = city(*files[1:])
    whole = counts(host.home)
    assert whole["batch"] > before["batch"]
    # What cities and officers hold lies elsewhere: it is not lost, and not put back either.
    elsewhere = Path(shutil.copytree(home / "profiles", folder / "profiles"))
    log_key = Path(shutil.copy(host.home.log_key, folder / "log.vkey"))

    host.stop()
    shutil.rmtree(home)

    at |= {"BACKUP": backup, "log.vkey": log_key}
    approvals = {f"{name}.approval": folder / f"{name}.approval" for name in OFFICERS}
    told(line("gateway backup rehearse"), **at)
    for name in OFFICERS:
        mine = elsewhere / officers[name].name
        told(line("gateway backup approve"), **at, PROFILE=mine, **{"zhao.approval": approvals[f"{name}.approval"]})  # fmt: skip
    done = told(line("gateway backup restore"), **at, **approvals)
    shutil.rmtree(home / "profiles")
    shutil.copytree(elsewhere, home / "profiles")
    host.start()

    # The client proves that this log continues the one it saw; what it sends again is answered
    # by the same receipts, what is new is taken: every record is there exactly once.
    asyncio.run(send(county, iter(first), lambda _: None))
    assert counts(host.home) == before
    # A city that saw more is told so by two officers and the log's key, follows, and sends again by
    # itself what came after the backup, whatever file it is called with.
    assert city(files[0]) == sent
    assert counts(host.home) == whole
    assert (profile / "restores" / "1").is_file()
    assert city(*files[1:]) == later
    for receipts in (sent["receipts"], later["receipts"]):
        told(f"    gateway receipt verify {receipts} -p {profile}")
    assert counts(host.home) == whole
    asyncio.run(send(other, iter(second), lambda _: None))
    after = counts(host.home)
    assert after["batch"] == whole["batch"] + len(second)
    assert after["child"] > whole["child"]
    exported = folder / "export"
    host.run("audit", "export", str(home), str(exported))
    host.run("audit", "verify", str(exported), "--key", str(log_key))
    with capsys.disabled():
        print(f"\nRPO {done['rpo_seconds']} s, RTO {done['rto_seconds']} s")
