"""The Cedar part of the province's policies as it lies in a folder: texts and their digest.

Compiling it is `engine`'s.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

SCHEMA_FILE = "schema.cedarschema"
CASES_FOLDER = "cases"


class BundleError(Exception):
    """The policies cannot be used; the text says which file or policy and why."""


@dataclass(frozen=True, slots=True)
class Bundle:
    """Schema and policy texts by file name, and the SHA-256 (hex) that every decision names."""

    schema: str
    policies: tuple[tuple[str, str], ...]
    sha256: str

    @property
    def text(self) -> str:
        """All policies as one text, in the order of their file names."""
        return "\n".join(text for _, text in self.policies)


def load(folder: Path) -> Bundle:
    """Return the bundle of a folder (`schema.cedarschema` and `*.cedar`); raises BundleError."""
    names = sorted(path.name for path in folder.glob("*.cedar"))
    if not names:
        msg = f"{folder}: no *.cedar file"
        raise BundleError(msg)
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
    return of(files[SCHEMA_FILE], tuple((name, files[name]) for name in names))


def of(schema: str, policies: tuple[tuple[str, str], ...]) -> Bundle:
    """Return the bundle of these texts.

    The digest covers names and lengths too, so that no text can move.
    """
    digest = hashlib.sha256(b"gateway/policy/v1\n")
    for name, text in ((SCHEMA_FILE, schema), *policies):
        encoded = text.encode()
        digest.update(f"{name}\n{len(encoded)}\n".encode())
        digest.update(encoded)
    return Bundle(schema, policies, digest.hexdigest())


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        msg = f"{path}: cannot be read"
        raise BundleError(msg) from error
