"""Backups in the demo: made in two places, read back, damaged, restored beside the gateway."""

import asyncio
import json
from pathlib import Path

from gateway.demo.host import Host
from gateway.demo.insiders import refused
from gateway.demo.tried import Tried

_CHANGED, _BOTH = "BACKUP_PART_CHANGED", "2 of 2 verified"


def places(folder: Path) -> tuple[Path, Path]:
    """Return the two places, as folders that are there: they stand for mounted shares."""
    two = folder / "backups-1", folder / "backups-2"
    for one in two:
        one.mkdir(parents=True, exist_ok=True)
    return two


async def tell(host: Host, tried: Tried, folder: Path) -> None:
    """Add the rows; raises HostError."""
    home, key = str(host.home.root), folder / "safe-1.key"
    recipient = (await _told(host, "backup", "recipient", "new", str(key)))["recipient"]
    await _told(host, "backup", "recipient", "add", home, "safe-1", str(recipient))
    before = await tried.watch.newest()
    kept = Path(str((await _told(host, "backup", "keep", home))["folder"]))
    found = await tried.watch.after(before, kind="backup.keep")
    listed, state = await asyncio.gather(_listed(host, home), _state(host, home))
    tried.add("demo.row.backup-kept", _BOTH, listed, found[0] if found else None)
    tried.add("demo.row.backup-status", "good, 2 places", state, None)
    await _damaged(host, tried, places(folder)[1] / kept.name)
    await _drilled(host, tried, kept, key)


async def _listed(host: Host, home: str) -> str:
    """Return in how many places every byte of the newest backup is what was made."""
    listed = (await _told(host, "backup", "list", "--home", home, "--check"))["backups"]
    newest = listed[0] if isinstance(listed, list) else {}
    return f"{newest['places']} of {len(newest['copies'])} {newest['state']}"


async def _state(host: Host, home: str) -> str:
    """Return what the status says of the backups."""
    database = (await _told(host, "status", home))["database"]
    told = database["backups"] if isinstance(database, dict) else {}
    return f"{told['state']}, {told['places']} places"


async def _damaged(host: Host, tried: Tried, copy: Path) -> None:
    """Flip a bit of one copy: it is no backup any more. Flip it back."""
    part = copy / "database.tar.age"
    _flip(part)
    before = await tried.watch.newest()
    home = str(host.home.root)
    happened = await asyncio.to_thread(refused, "backup", "check", str(copy), "--home", home)
    _flip(part)
    found = await tried.watch.after(before, kind="backup.check")
    tried.add("demo.row.backup-flipped", _CHANGED, happened, found[0] if found else None)


async def _drilled(host: Host, tried: Tried, backup: Path, key: Path) -> None:
    """Restore it into a scratch folder, start it, prove all of its log; the gateway goes on."""
    before = await tried.watch.newest()
    home = str(host.home.root)
    done = await _told(host, "backup", "drill", str(backup), "--home", home, "--identity", str(key))
    found = await tried.watch.after(before, kind="backup.drill")
    counts = found[0].fields["counts"] if found else {}
    told = counts if isinstance(counts, dict) else {}
    expected, happened = (f"{one.get('rows')} rows proven" for one in (told, done))
    tried.add("demo.row.backup-drilled", expected, happened, found[0] if found else None)


def _flip(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


async def _told(host: Host, *words: str) -> dict[str, object]:
    """Run a command for machines; raises HostError."""
    told: dict[str, object] = json.loads(await asyncio.to_thread(host.run, *words, "--json"))
    return told
