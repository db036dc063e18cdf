"""What two officers sign, as it lies in a folder: Cedar texts, the rules of exports, their digest.

Compiling the Cedar part is `engine`'s.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from gateway.config.exports import EXPORTS_FILE, ExportRules, export_rules
from gateway.config.strict import SettingsError

SCHEMA_FILE = "schema.cedarschema"
CASES_FOLDER = "cases"


class BundleError(Exception):
    """The policies cannot be used; the text says which file or policy and why."""


@dataclass(frozen=True, slots=True)
class Bundle:
    """Schema and policy texts by file name, and the SHA-256 (hex) that every decision names.

    `exports` is the text of exports.toml, "" in a bundle of before it was part of one.
    """

    schema: str
    policies: tuple[tuple[str, str], ...]
    sha256: str
    exports: str = ""

    @property
    def text(self) -> str:
        """All policies as one text, in the order of their file names."""
        return "\n".join(text for _, text in self.policies)

    @property
    def texts(self) -> dict[str, str]:
        """All that the digest covers, by file name."""
        texts = {SCHEMA_FILE: self.schema, **dict(self.policies)}
        return {**texts, EXPORTS_FILE: self.exports} if self.exports else texts

    def rules(self) -> ExportRules | None:
        """Return the rules of exports, None where they are lacking; raises BundleError."""
        try:
            return export_rules(self.exports) if self.exports else None
        except SettingsError as error:
            raise BundleError(str(error)) from error


def load(folder: Path) -> Bundle:
    """Return the bundle of a folder (schema, `*.cedar`, exports.toml); raises BundleError."""
    names = sorted(path.name for path in folder.glob("*.cedar"))
    if not names:
        msg = f"{folder}: no *.cedar file"
        raise BundleError(msg)
    if (folder / EXPORTS_FILE).is_file():
        names.append(EXPORTS_FILE)
    return of_files({name: _read(folder / name) for name in (SCHEMA_FILE, *names)})


def files(folder: Path) -> dict[str, str]:
    """Return all texts of a folder by relative name, cases too; raises BundleError."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): _read(path) for path in paths}


def of_files(files: Mapping[str, str]) -> Bundle:
    """Return the bundle among these files; raises BundleError where there is none."""
    names = sorted(name for name in files if name.endswith(".cedar") and "/" not in name)
    if not names or SCHEMA_FILE not in files:
        msg = f"{SCHEMA_FILE} and *.cedar files are needed"
        raise BundleError(msg)
    policies = tuple((name, files[name]) for name in names)
    return of(files[SCHEMA_FILE], policies, files.get(EXPORTS_FILE, ""))


def of(schema: str, policies: tuple[tuple[str, str], ...], exports: str = "") -> Bundle:
    """Return the bundle of these texts.

    The digest covers names and lengths too, so that no text can move.
    """
    one = Bundle(schema, policies, "", exports)
    digest = hashlib.sha256(b"gateway/policy/v1\n")
    for name, text in one.texts.items():
        encoded = text.encode()
        digest.update(f"{name}\n{len(encoded)}\n".encode())
        digest.update(encoded)
    return replace(one, sha256=digest.hexdigest())


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        msg = f"{path}: cannot be read"
        raise BundleError(msg) from error
