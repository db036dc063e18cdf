"""The authorities that were retired: what officers signed while they were trusted stands.

HOME/public/former-authorities.pem holds each with a line before it: which leaf of the log told of
the retirement. A signature told before that leaf counts; whoever has a retired authority's key
writes no leaf that stands before it. That rests on the log's order as the database shows it to
who reads it: the signer and the witnesses refuse another order, but later (decision 0024, Price).
"""

import re
from dataclasses import dataclass, replace
from pathlib import Path

from cryptography.x509 import Certificate

from gateway.config.folders import replace_public
from gateway.config.strict import SettingsError
from gateway.pki import ceremony, der

# Text outside of the boundaries is ignored by readers of PEM (RFC 7468 section 5.2).
_BLOCK = re.compile(
    rb"(?:Retired by leaf ([0-9]{1,18})\n)?"
    rb"(-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----)\n?",
    re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Retired:
    """An authority and the leaf of its retirement; None in a HOME of before its next start."""

    certificate: Certificate
    leaf: int | None


def read(path: Path) -> list[Retired]:
    """Return those of a file, none where there is no file; raises SettingsError, OSError."""
    if not path.exists():
        return []
    try:
        return [
            Retired(der.certificates(pem)[0], int(leaf) if leaf else None)
            for leaf, pem in _BLOCK.findall(path.read_bytes())
        ]
    except der.MalformedError as error:
        raise SettingsError(f"{path}: {error}") from error


def keep(path: Path, certificate: Certificate, leaf: int) -> None:
    """Keep an authority that a leaf told was retired.

    Retired again after it was trusted again, it counts up to the newer leaf.
    """
    known = read(path)
    again = Retired(certificate, leaf)
    if certificate in [one.certificate for one in known]:
        _write(path, [again if one.certificate == certificate else one for one in known])
    else:
        _write(path, [*known, again])


def date(path: Path, size: int) -> int:
    """Give those without a leaf the log's size of now; return how many there were."""
    known = read(path)
    undated = [one for one in known if one.leaf is None]
    if undated:
        _write(path, [replace(one, leaf=size) if one in undated else one for one in known])
    return len(undated)


def _write(path: Path, those: list[Retired]) -> None:
    blocks = []
    for one in those:
        head = b"" if one.leaf is None else f"Retired by leaf {one.leaf}\n".encode("ascii")
        blocks.append(head + ceremony.pem(one.certificate))
    replace_public(path, b"".join(blocks))
