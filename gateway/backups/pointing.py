"""Which database a restored HOME is of: its settings name it, whatever they named before.

Until this is done the settings of a restored HOME name the database that was lost, or that still
lives: nothing is connected to before.
"""

import contextlib
import json
import re
import tomllib
from dataclasses import replace

from gateway.backups.errors import BackupError
from gateway.backups.untar import DAMAGED
from gateway.config import folders, settings
from gateway.config.home import Home
from gateway.config.settings import SettingsError

_BEGIN = re.compile(r"""[ \t]*(dsn|"dsn"|'dsn')[ \t]*=""")


def point(home: Home, dsn: str) -> None:
    """Have HOME's settings name this database, "" for its own; all else stays.

    Raises BackupError where the settings are none, OSError.
    """
    try:
        before = settings.load(home.settings)
        text = home.settings.read_text(encoding="utf-8")
        # A JSON string is TOML's; before the first table it is a setting of ours.
        changed = f"dsn = {json.dumps(dsn, ensure_ascii=False)}\n" + _without(text)
        folders.replace_public(home.settings, changed.encode())
        after = settings.load(home.settings)
    except SettingsError as error:
        raise BackupError(DAMAGED, str(error)) from error
    if after != replace(before, dsn=dsn):
        raise BackupError(DAMAGED, "settings.toml names its database in a way that is not known")


def _without(text: str) -> str:
    """Return the settings without those lines, one or several, that say `dsn` and nothing else."""
    found = tomllib.loads(text)
    if found.pop("dsn", None) is None:
        return text
    lines = text.splitlines(keepends=True)
    for at in (n for n, line in enumerate(lines) if _BEGIN.match(line)):
        for end in range(at + 1, len(lines) + 1):
            rest = "".join([*lines[:at], *lines[end:]])
            with contextlib.suppress(tomllib.TOMLDecodeError):
                if tomllib.loads(rest) == found:
                    return rest
    return text
