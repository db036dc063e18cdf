"""The demo from beginning to end: found a province, upload, try to break in, verify the log."""

import time
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from gateway import messages
from gateway.demo import backups, exporters, exports, insiders, province, strangers, uploading
from gateway.demo.host import Host
from gateway.demo.insiders import VERIFIED
from gateway.demo.province import CITIES, COUNTIES, NOBODY_OCTET, SECOND_WAY, Province
from gateway.demo.table import Row, show
from gateway.demo.tried import Tried
from gateway.demo.uploading import Load
from gateway.demo.watch import Watch
from gateway.messages import Language

SEED = 2020_35
CHILDREN = 5000


@dataclass(frozen=True, slots=True)
class Teller:
    """Speaks to the person who watches: progress on standard error, the table on output."""

    language: Language
    err: Console
    out: Console

    def say(self, msgid: str, **parameters: object) -> None:
        """Print one line."""
        self.err.print(messages.text(msgid, self.language, **parameters), highlight=False)


async def tell(teller: Teller, folder: Path, children: int = CHILDREN) -> bool:
    """Tell the story in a fresh folder; return whether every promise was kept."""
    began = time.monotonic()
    host = Host.at(folder / "home")
    teller.say("demo.init", folder=str(folder))
    own = province.policies(folder / "policies", backups.places(folder))
    host.init([*province.owners(), SECOND_WAY], [NOBODY_OCTET], own)
    try:
        host.start()
        teller.say("demo.found")
        there = await province.found(host)
        load = uploading.generate(there, seed=SEED, children=children)
        rows = [await _uploads(teller, there, load), await _waiting(there, load)]
        teller.say("demo.attempts")
        rows += await _attempts(teller, there, load, folder)
        rows += await _damage(there, folder, rows[0].leaf or 0)
    finally:
        host.stop()
    show(rows, teller.language, teller.out)
    teller.say("demo.end", seconds=f"{time.monotonic() - began:.0f}")
    return all(row.kept for row in rows)


async def _uploads(teller: Teller, there: Province, load: Load) -> Row:
    """Upload everything and hold the findings against what was planted."""
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn())
    began = time.monotonic()
    with Progress(*columns, TimeRemainingColumn(), console=teller.err) as progress:
        task = progress.add_task(messages.text("demo.upload", teller.language), total=load.records)
        found = await uploading.upload(there, load, lambda count: progress.advance(task, count))
    took = time.monotonic() - began
    teller.say(
        "demo.uploaded",
        children=load.children,
        doses=load.doses,
        rate=f"{load.records / took:,.0f}",
        receipts=sum(len(one.receipts) for one in found),
    )
    pairs = set[tuple[str, str]]().union(*(one.pairs for one in found))
    missed, surplus = len(load.planted - pairs), len(pairs - load.planted)
    last = max((one.receipts[-1][1].index for one in found if one.receipts), default=None)
    return Row(
        "demo.row.findings",
        f"{len(load.planted)} planted, 0 missed, 0 surplus",
        f"{len(load.planted)} planted, {missed} missed, {surplus} surplus",
        last,
    )


async def _waiting(there: Province, load: Load) -> Row:
    """Count the doses that still wait: only those whose card was not accepted may."""
    counts = [await uploading.still_waiting(there.members[code]) for code in COUNTIES]
    early = [
        one
        for families in load.families.values()
        for family in families
        for one in family.truth
        if one.kind == "vaccination" and "VA-01" in one.rules
    ]
    waiting = sum(one.then is None for one in early)
    return Row(
        "demo.row.waiting",
        f"{len(early) - waiting} taken, {waiting} wait",
        f"{len(early) - sum(counts)} taken, {sum(counts)} wait",
        None,
    )


async def _attempts(teller: Teller, there: Province, load: Load, folder: Path) -> list[Row]:
    """Try everything that must be refused, and find the leaf of each."""
    channels = there.auditor.channels()
    try:
        tried = Tried(Watch(channels, there.auditor.session(channels)))
        await _knocks(there, tried)
        await _misuses(there, load, tried)
        teller.say("demo.exports", seconds=province.APART_S)
        await exports.tell(there, await exporters.enlist(there), tried, folder)
        teller.say("demo.backups")
        await backups.tell(there.host, tried, folder)
    finally:
        await channels.close()
    return tried.rows


async def _knocks(there: Province, tried: Tried) -> None:
    county, other = COUNTIES[0], COUNTIES[1]
    home, elsewhere = _address(there, county), _address(there, other)
    true = strangers.of(there, county)
    knocks = (
        ("demo.row.no-certificate", "CERT_MISSING", home, None, False),
        (
            "demo.row.foreign-authority",
            "CERT_UNTRUSTED",
            home,
            strangers.foreign(there, county),
            False,
        ),
        ("demo.row.same-name", "CERT_UNTRUSTED", home, strangers.same_named(there, county), False),
        ("demo.row.elsewhere", "ORIGIN_MISMATCH", elsewhere, true, False),
        ("demo.row.nobody", "ORIGIN_NOT_TUNNEL", there.host.address(NOBODY_OCTET), true, False),
        ("demo.row.tls12", "TLS_VERSION", home, true, True),
    )
    for name, reason, address, papers, old in knocks:
        await tried.knock(name, reason, strangers.knock(there, address, papers, tls12=old))
    for name, reason, ended in (
        ("demo.row.expired", "CERT_EXPIRED", await insiders.expired_before(there, county)),
        ("demo.row.revoked", "CERT_REVOKED", await insiders.revoked_before(there, county)),
    ):
        await tried.call(name, reason, insiders.told(there, county, ended))


async def _misuses(there: Province, load: Load, tried: Tried) -> None:
    county, other = COUNTIES[0], COUNTIES[1]
    family = load.families[county][0]
    await tried.call(
        "demo.row.stolen-token", "TOKEN_INVALID", insiders.stolen_token(there, county, other)
    )
    await tried.call(
        "demo.row.expired-password",
        "PASSWORD_BLOCKED",
        insiders.expired_password(there, county, family),
    )
    foreign = there.members[CITIES[1]].units[0].unit_code
    await tried.call(
        "demo.row.foreign-unit",
        "POLICY_DENIED",
        insiders.foreign_unit(there, county, foreign, family),
    )
    await tried.cut(insiders.revoked_meanwhile(there, county, load.families[county]))


async def _damage(there: Province, folder: Path, upload: int) -> list[Row]:
    """Verify the whole log, then one whose leaf `upload` was edited, and one cut short."""
    whole = insiders.export_and_verify(there, folder / "log")
    refused, edited = await insiders.edited_leaf(there, upload, folder / "log-edited")
    truncated = insiders.truncated_log(folder / "log", folder / "log-truncated")
    again = insiders.export_and_verify(there, folder / "log-again")
    return [
        Row(
            "demo.row.edit",
            "refused by the database",
            "refused by the database" if refused else "done",
            None,
        ),
        Row(
            "demo.row.forced-edit", "found", "found" if edited != VERIFIED else "not found", upload
        ),
        Row("demo.row.truncated", "found", "found" if truncated != VERIFIED else "not found", None),
        Row("demo.row.whole", VERIFIED, whole if whole != VERIFIED else again, None),
    ]


def _address(there: Province, code: str) -> str:
    return there.members[code].profile.remote.host
