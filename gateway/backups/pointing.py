"""Which database a restored HOME is of: its settings name it, whatever they named before.

Until this is done the settings of a restored HOME name the database that was lost, or that still
lives: nothing is connected to before.
"""

import json
import re
from dataclasses import replace

from gateway.backups.errors import BackupError
from gateway.backups.untar import DAMAGED
from gateway.config import folders, settings
from gateway.config.home import Home

_LINE = re.compile(r'^dsn\s*=\s*(?:"(?:[^"\\]|\\.)*"|\'[^\']*\')[ \t]*(?:#.*)?\n', re.MULTILINE)


def point(home: Home, dsn: str) -> None:
    """Have HOME's settings name this database, "" for its own; all else stays.

    Raises BackupError where the settings cannot be changed by their line `dsn`.
    """
    before = settings.load(home.settings)
    text = home.settings.read_text(encoding="utf-8")
    # A JSON string is TOML's; before the first table it is a setting of ours.
    changed = f"dsn = {json.dumps(dsn)}\n" + _LINE.sub("", text)
    folders.replace_public(home.settings, changed.encode())
    if settings.load(home.settings) != replace(before, dsn=dsn):
        raise BackupError(DAMAGED, "settings.toml names its database in a way that is not known")
