"""Publishes the revocation lists: one per trusted authority, numbered with the epoch `revocation`.

CRLNumber is the epoch, always, so that whoever holds list and database can tell which is newer; a
list that is signed anew without a change takes the next epoch. Revoked certificates are named at
once, superseded ones after a day, both until they have expired and could not be renewed any more;
what HOME knows to be revoked (`ended`) also where its row says otherwise by now.
The list of an authority whose key is not here is the one that the admin placed
(`authorities.external_list`), once it verifies and is not older than the one in force.
"""

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from cryptography.x509 import CertificateRevocationList

from gateway import log
from gateway.clock import US_PER_S, Clock, from_datetime
from gateway.config.home import Home
from gateway.config.policies import CertificateRules, load_certificate_rules
from gateway.config.strict import SettingsError
from gateway.pki import authorities, crl, der, ended, external
from gateway.pki.authorities import Anchor
from gateway.pki.ended import Ended
from gateway.store.database import Database, StoreError, Transaction

RAISED_KIND, RAISED_ALERT = "certificate.raised", "certificate-raised"
# A leaf: its kind and its detail.
Tell = Callable[[str, Mapping[str, str]], None]
POLL_S = 0.5
# How often whoever waits for a list looks whether it is there.
LOOK_S = 0.05
_HOUR_US = 3_600 * US_PER_S
_EPOCH = "SELECT value FROM gateway.epoch WHERE name = 'revocation'"
_NEXT = "SELECT gateway.revocation_epoch_next()"
_ENDED = (
    "SELECT coalesce(issuer_sha256, %s), serial, revoked_us, reason FROM gateway.certificate"
    " WHERE state <> 1 AND not_after_us > %s AND (state = 2 OR revoked_us <= %s) ORDER BY serial"
)
_LOG = log.get("pki")


class RestoredError(Exception):
    """The list on disk is newer than the database: that one is a restored backup."""


@dataclass(frozen=True, slots=True)
class Published:
    """The lists in place, those of our authorities, and the greatest number of these."""

    lists: tuple[CertificateRevocationList, ...]
    ours: tuple[CertificateRevocationList, ...]
    number: int


async def epoch(tx: Transaction) -> int:
    """Return the epoch `revocation` as this transaction sees it."""
    row = await tx.fetch_one(_EPOCH)
    return row[0] if row else 0


def published(home: Home) -> Published:
    """Return the lists in HOME/public; raises MalformedError, OSError."""
    roots = der.certificates(home.root_certificate.read_bytes())
    anchors = der.certificates(home.client_authority_certificate.read_bytes())
    lists = tuple(der.revocation_lists(home.crl.read_bytes()))
    found = [crl.of(one, lists) for one in anchors if authorities.is_ours(one, roots)]
    ours = tuple(one for one in found if one is not None)
    return Published(lists, ours, max(map(crl.number_of, ours), default=0))


async def renew(home: Home, database: Database, rules: CertificateRules, clock: Clock) -> int:
    """Write the lists anew from the register and return their number.

    The authorities are read once nobody else can change them: a roll-over meanwhile keeps its list.

    Raises RestoredError when the lists in place have a greater number than the epoch.
    """
    with contextlib.ExitStack() as held:
        # Another writer in this very loop must be able to come to its end meanwhile.
        await asyncio.to_thread(held.enter_context, authorities.alone(home))
        anchors = authorities.load(home)
        before = published(home)
        number = await _next_number(database, before.number)
        kept = ended.load(home)
        named = await _named(database, anchors, rules, clock.now_us(), kept)
        valid = timedelta(hours=rules.revocation_list.valid_hours)
        lists: list[CertificateRevocationList | None] = [
            placed(home, anchor, before.lists)
            if anchor.key is None
            else crl.build(
                anchor.authority, named[anchor.spki_sha256], number, clock.now_us(), valid
            )
            for anchor in anchors
        ]
        crl.write(home.crl, *(one for one in lists if one is not None))
    return number


def placed(
    home: Home, anchor: Anchor, before: Sequence[CertificateRevocationList]
) -> CertificateRevocationList | None:
    """Return the list of an authority whose key is not here.

    The one that the admin placed where it verifies and is not older than the one in force, else
    that one; None where there is neither.
    """
    in_force = crl.of(anchor.certificate, before)
    path = authorities.external_list(home, anchor.certificate)
    try:
        found = der.revocation_list(path.read_bytes())
        external.judge_list(found, anchor.certificate)
        if in_force is not None and crl.number_of(found) < crl.number_of(in_force):
            raise der.MalformedError("older than the one in force")
    except FileNotFoundError:
        return in_force
    except (der.MalformedError, SettingsError, OSError) as error:
        _LOG.warning("external list not taken", authority=anchor.name, why=str(error))
        return in_force
    return found


async def reached(home: Home, number: int, patience_s: float) -> int:
    """Wait until the lists in place have this number or a greater one, and return theirs.

    0 when that takes longer than `patience_s`.
    """
    try:
        async with asyncio.timeout(patience_s):
            while True:
                found = (await asyncio.to_thread(published, home)).number
                if found >= number:
                    return found
                await asyncio.sleep(LOOK_S)
    except TimeoutError:
        return 0


class Keeper:
    """Keeps the lists current while the gateway runs: after each change of the register, hourly.

    Runs in the supervisor: it alone may read the authorities' keys and write HOME/public. The
    database role `front` is enough.
    """

    def __init__(
        self, home: Home, database: Database, clock: Clock, tell: Tell = lambda *_: None
    ) -> None:
        """Keep the lists of this HOME, and `tell` the log of what is wrong in the register.

        Raises SettingsError when its rules are wrong.
        """
        self._tell = tell
        # The serials that the log was told of.
        self._told: set[str] = set()
        self._home = home
        self._database = database
        self._clock = clock
        self._rules = load_certificate_rules(home.policies / "certificates.toml")
        self._authorities = authorities.Current(home)
        # What was found when there was last nothing to do, and until when that holds by itself.
        self._seen: object = None
        self._due_us = 0
        # The epoch of what is kept in `ended`, once it was looked at.
        self._kept: int | None = None

    async def run(self) -> None:
        """Look twice a second, for ever; while the database is away, the lists age."""
        while True:
            try:
                await self.look()
            except StoreError as error:
                _LOG.warning("revocation list not renewed", error=type(error).__name__)
            except (RestoredError, SettingsError, der.MalformedError) as error:
                # The lists in place age; at their end the front lets nobody in.
                _LOG.error("revocation list not renewed", why=str(error))
            await asyncio.sleep(POLL_S)

    async def look(self) -> bool:
        """Write the lists anew where that is due; returns whether it was. Raises as `renew`."""
        anchors = self._authorities.anchors()
        async with self._database.transaction() as tx:
            current = await epoch(tx)
        await self._keep_ended(current)
        seen = (current, anchors, _stamps(self._home, anchors))
        if seen == self._seen and self._clock.now_us() < self._due_us:
            return False
        before = published(self._home)
        due = not _complete(self._home, anchors, before)
        if any(anchor.key is not None for anchor in anchors):
            due = due or current != before.number or self._is_old(anchors, before)
        if due:
            number = await renew(self._home, self._database, self._rules, self._clock)
            _LOG.info("revocation list renewed", number=number)
            seen = (number, *seen[1:])
            before = published(self._home)
        self._seen, self._due_us = seen, _made_us(anchors, before) + self._life_us()
        return due

    async def _keep_ended(self, current: int) -> None:
        """Keep beside the database what this epoch took out of force; raises RestoredError."""
        kept = ended.load(self._home).epoch if self._kept is None else self._kept
        if current < kept:
            raise RestoredError(f"what ended is kept of epoch {kept}, the database has {current}")
        if current > kept:
            async with self._database.transaction() as tx:
                now_us, before = self._clock.now_us(), ended.load(self._home)
                found = await ended.read(tx, current, self._rules.renewal, now_us, before)
                raised = await ended.raised(tx, found)
            ended.save(self._home, found)
            for serial in sorted(set(raised) - self._told):
                _LOG.error("a revoked certificate's row says otherwise", serial=serial)
                self._tell(RAISED_KIND, {"target_serial": serial, "alert": RAISED_ALERT})
            self._told.update(raised)
        self._kept = current

    def _is_old(self, anchors: Sequence[Anchor], found: Published) -> bool:
        return self._clock.now_us() - _made_us(anchors, found) >= self._life_us()

    def _life_us(self) -> int:
        return round(self._rules.revocation_list.renew_hours * _HOUR_US)


def _made_us(anchors: Sequence[Anchor], found: Published) -> int:
    """Return when the oldest list that can be signed here was made."""
    listed = [crl.of(one.certificate, found.lists) for one in anchors if one.key is not None]
    made = [one.last_update_utc + crl.BACKDATE for one in listed if one is not None]
    return min(map(from_datetime, made), default=0)


async def _next_number(database: Database, listed: int) -> int:
    """Return the number of the next list, committed: no list is ever ahead of the epoch."""
    async with database.transaction() as tx:
        number = await epoch(tx)
        if number < listed:
            raise RestoredError(f"the list has number {listed}, the database {number}")
        if number == listed:
            [(number,)] = await tx.fetch(_NEXT)
    return number


async def _named(
    database: Database,
    anchors: Sequence[Anchor],
    rules: CertificateRules,
    now_us: int,
    kept: Ended,
) -> Mapping[bytes, list[crl.Revoked]]:
    """Return what each authority's list names.

    Of what is revoked meanwhile some may be named already; its own epoch brings the next list.
    """
    oldest = authorities.oldest(anchors)
    late_us = now_us - round(rules.renewal.list_superseded_after_hours * _HOUR_US)
    # An expired one may be renewed for some days: a restored register must learn that it may not.
    closed_us = now_us - round(rules.renewal.after_expiry_days * 24 * _HOUR_US)
    own = b"" if oldest is None else oldest.spki_sha256
    named: defaultdict[bytes, list[crl.Revoked]] = defaultdict(list)
    async with database.transaction() as tx:
        for issuer, serial, *entry in await tx.fetch(_ENDED, (own, closed_us, late_us)):
            if serial not in kept.revoked:
                named[issuer].append(crl.Revoked(serial, *entry))
    for serial, (until_us, key) in kept.revoked.items():
        if until_us > closed_us:
            _, at_us, reason = kept.certificates[serial]
            told = crl.Revoked(serial, at_us, reason or "unspecified")
            named[bytes.fromhex(key) or own].append(told)
    return named


def _complete(home: Home, anchors: Sequence[Anchor], found: Published) -> bool:
    """Return whether every authority has its list in place, the placed ones as they were placed."""
    for anchor in anchors:
        listed = crl.of(anchor.certificate, found.lists)
        if anchor.key is None and listed != placed(home, anchor, found.lists):
            return False
        if anchor.key is not None and listed is None:
            return False
    return True


def _stamps(home: Home, anchors: Sequence[Anchor]) -> list[tuple[int, int] | None]:
    """Return what changes when somebody places a list."""
    files = [authorities.external_list(home, one.certificate) for one in anchors if one.key is None]
    return [_stamp(path) for path in files]


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns
