"""Keeps the revocation list current while the gateway is served.

The supervisor does it because it alone may read the authority's key and write HOME/public.
"""

import asyncio

from gateway import log
from gateway.clock import SYSTEM
from gateway.config.home import Home
from gateway.config.settings import Settings
from gateway.pki.publish import Keeper, RestoredError, Tell
from gateway.store import roles
from gateway.store.database import Database
from gateway.supervise.keeper import StartError

_ROLE = "front"
_RETRY_S = 5.0
_LOG = log.get("revocation")


async def keep_current(home: Home, settings: Settings, current: asyncio.Event, tell: Tell) -> None:
    """Renew the list now where it is due, set `current`, and look after it until cancelled.

    The front must not start before: with a list out of date it lets nobody in. Raises StartError
    where the database is older than the list (a restored backup does not know what was revoked
    since), StoreError when it is away now, SettingsError or OSError for the authorities' files.
    """
    way = roles.WayIn(home, settings, _ROLE)
    database = await Database.open(way, application="gateway-revocation", size=1)
    try:
        keeper = Keeper(home, database, SYSTEM, tell)
        try:
            await keeper.look()
        except RestoredError as error:
            raise StartError(f"{error}: run 'gateway certificate replay {home.root}'") from error
        current.set()
        while True:
            try:
                await keeper.run()
            except OSError as error:  # a full disk passes; the front refuses everybody in time
                _LOG.error("revocation list not written", why=str(error))
            await asyncio.sleep(_RETRY_S)
    finally:
        await database.close()
