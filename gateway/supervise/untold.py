"""Acts on the host that the log could not be told of: files until the supervisor has told them.

One that dies between a leaf and the removal of its file tells it again: twice rather than never.
"""

import asyncio
import json
import os
import secrets
from pathlib import Path

from gateway import log
from gateway.audit.event import Event
from gateway.clock import SYSTEM
from gateway.config.folders import PRIVATE_FILE, sync
from gateway.config.home import Home
from gateway.supervise.journal import Journal

# A log that is away may come back while the gateway is served.
LOOK_S = 5.0
_FLUSH_S = 60.0
_PRIVATE = 0o700
_LOG = log.get("untold")


def keep(home: Home, kind: str) -> None:
    """Keep an act of this kind, done now, on the disk before it goes on; raises OSError."""
    home.untold.mkdir(mode=_PRIVATE, exist_ok=True)
    now_us = SYSTEM.now_us()
    path = home.untold / f"{now_us}-{secrets.token_hex(4)}"
    partial = path.with_suffix(".partial")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE_FILE)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump({"kind": kind, "time_us": now_us}, file)
        file.flush()
        os.fsync(descriptor)
    partial.rename(path)
    for folder in (home.untold, home.root):
        sync(folder)


async def tell(home: Home, journal: Journal) -> None:
    """Tell what is kept, for ever; cancel it to end it."""
    while True:
        found = {path: event for path in _kept(home) if (event := _event(path))}
        for event in found.values():
            journal.put(event)
        while found and not await journal.flush(_FLUSH_S):
            _LOG.warning("untold", acts=len(found))
        for path in found:
            path.unlink()
        await asyncio.sleep(LOOK_S)


def _kept(home: Home) -> list[Path]:
    return sorted(one for one in home.untold.glob("*") if one.suffix != ".partial")


def _event(path: Path) -> Event | None:
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
        kind, time_us = str(kept["kind"]), int(kept["time_us"])
    except (OSError, ValueError, KeyError, TypeError):
        _LOG.error("unreadable", file=path.name)
        return None
    return Event(kind=kind, detail={"first_us": time_us, "last_us": time_us})
