"""A province is lost with its whole HOME and comes back from one backup, by the commands of docs/backups.md."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.demo.host import Host
from gateway.demo.province import COUNTIES
from gateway.demo.uploading import batches, centre_code, generate, late_cards, records, send
from tests.e2e.losing import OFFICERS, County, Elsewhere, counts, found, founded, told
from tests.house.tree import ROOT

pytestmark = [pytest.mark.serial, pytest.mark.timeout(1200)]
PAGE = (ROOT / "docs/backups.md").read_text(encoding="utf-8")


def line(start: str) -> str:
    """The page's line of a command."""
    [one] = [one.strip() for one in PAGE.splitlines() if one.startswith(f"    {start}")]
    return one


def test_a_lost_province_comes_back(capsys, monkeypatch) -> None:
    monkeypatch.setattr("gateway.demo.host.START_TIMEOUT_S", 240.0)  # a busy machine is no fault
    with founded() as (host, folder):
        lost_and_found(host, folder, capsys)


def lost_and_found(
    host: Host, folder: Path, capsys, lost: Callable[[], str] = lambda: ""
) -> dict[str, object]:
    """`lost` loses what lies elsewhere, too, and says what a restore needs more; what was where."""
    province, officers = found(host)
    load = generate(province, seed=8, children=40)
    first, second = (
        list(batches(centre_code(code), records(families), late_cards(families)))
        for code, families in list(load.families.items())[:2]
    )
    county, other = (province.members[code] for code in list(COUNTIES)[:2])
    asyncio.run(send(county, iter(first), lambda _: None))
    city = County(folder, province)
    sent = city.upload(city.files[0])
    before = counts(host.home)
    assert before["child"] > 0
    assert before["dose"] > 0
    home, place, key = host.home.root, folder / "place", folder / "safe-1.key"
    at = {"HOME": home, "/mnt/backup": place, "safe-1.key": key}
    made = told(line("gateway backup recipient new"), **at)
    told(line("gateway backup recipient add"), **{**at, "age1…": made["recipient"]})
    backup = Path(told(line("gateway backup create"), **at)["folder"])
    later = city.upload(*city.files[1:])
    whole = counts(host.home)
    assert whole["batch"] > before["batch"]
    elsewhere = Elsewhere(folder, host.home)

    elsewhere.lose(host)
    more = lost()

    at |= {"BACKUP": backup, "log.vkey": elsewhere.log_key}
    approvals = {f"{name}.approval": folder / f"{name}.approval" for name in OFFICERS}
    told(line("gateway backup rehearse"), **at)
    for name in OFFICERS:
        mine = elsewhere.of(officers[name])
        told(line("gateway backup approve"), **at, PROFILE=mine, **{"zhao.approval": approvals[f"{name}.approval"]})  # fmt: skip
    done = told(line("gateway backup restore") + more, **at, **approvals)
    elsewhere.give_back()
    host.start()

    # The client proves that this log continues the one it saw; what it sends again is answered
    # by the same receipts, what is new is taken: every record is there exactly once.
    asyncio.run(send(county, iter(first), lambda _: None))
    assert counts(host.home) == before
    # A city that saw more is told so by two officers and the log's key, follows, and sends again by
    # itself what came after the backup, whatever file it is called with.
    assert city.upload(city.files[0]) == sent
    assert counts(host.home) == whole
    assert (city.profile / "restores" / "1").is_file()
    assert city.upload(*city.files[1:]) == later
    for receipts in (sent["receipts"], later["receipts"]):
        told(f"    gateway receipt verify {receipts} -p {city.profile}")
    assert counts(host.home) == whole
    asyncio.run(send(other, iter(second), lambda _: None))
    after = counts(host.home)
    assert after["batch"] == whole["batch"] + len(second)
    assert after["child"] > whole["child"]
    exported = folder / "export"
    host.run("audit", "export", str(home), str(exported))
    host.run("audit", "verify", str(exported), "--key", str(elsewhere.log_key))
    with capsys.disabled():
        print(f"\nRPO {done['rpo_seconds']} s, RTO {done['rto_seconds']} s")
    return at
