"""Asks another's server what it gives to backups: tells a change, lets no journal pile up there.

A slot that nobody advances fills a disk that is not ours. It goes where policy sends none, and
where the server sets it no bound; within a bound it stays, for a right may come back, and the line.
"""

import asyncio
from collections.abc import Callable

from gateway import log
from gateway.audit.event import Event
from gateway.backups import formed, forms, manifest
from gateway.config.backups import FILE, BackupRules, load_backup_rules
from gateway.config.home import Home
from gateway.config.settings import Settings
from gateway.store import external, roles, wal
from gateway.store.database import Database, StoreError
from gateway.store.external import Offers

_ROLE = "owner"
_LOG = log.get("backups")


class Forms:
    """What the server of one HOME gives, and what of that was told."""

    def __init__(self, home: Home, settings: Settings, tell: Callable[[Event], None]) -> None:
        """Watch; `tell` puts a leaf in line."""
        self._home = home
        self._settings = settings
        self._tell = tell
        self._told: str | None = None

    async def sends(self) -> bool:
        """Return whether the journal is to be sent now; another's server is asked.

        Raises SettingsError, StoreError, BackupError (BACKUP_EXTERNAL).
        """
        rules = load_backup_rules(self._home.policies / FILE)
        if not self._settings.dsn:
            return forms.sends(rules)
        offers = await asyncio.to_thread(external.offers, self._home, self._settings)
        if offers.slot and forms.idle(rules, offers):
            await asyncio.to_thread(self._drop)
        if not rules.places.folders:
            return False
        form = forms.of(offers, rules.external.form)
        await self._tell_form(form, rules, offers)
        return form != manifest.DUMP and forms.sends(rules)

    async def _tell_form(self, form: str, rules: BackupRules, offers: Offers) -> None:
        before = await self._read() if self._told is None else self._told
        if form != before:
            lacking = () if rules.external.form == manifest.DUMP else offers.lacking
            _LOG.warning("backups hold something else", form=form, lacking=", ".join(lacking))
            self._tell(formed.event(form, before, lacking))
        self._told = form

    def _drop(self) -> None:
        try:
            with wal.opened(self._home, self._settings) as journal:
                journal.drop()
        except StoreError:
            # Without the right to; `gateway backup advise` says what its operator runs.
            _LOG.error("another's server keeps journal that nobody takes", slot=external.SLOT)

    async def _read(self) -> str:
        way = roles.WayIn(self._home, self._settings, _ROLE)
        database = await Database.open(way, application="gateway-forms", size=1)
        try:
            async with database.transaction() as tx:
                return await formed.read(tx)
        finally:
            await database.close()
