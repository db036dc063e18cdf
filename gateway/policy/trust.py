"""What a bundle is believed by beside its rows and leaves: HOME, where no writer of rows has hands.

Its authorities; the first bundle's digest, which nobody signed (decision 0019); how far activations
had come, so that no older one is put back; which organisation is the province (decision 0024).
"""

import re
from dataclasses import dataclass
from pathlib import Path

from gateway.config.folders import replace_public
from gateway.config.home import Home
from gateway.config.settings import Settings
from gateway.pki.issuers import Issuers

_MARK = re.compile(r"([1-9][0-9]{0,17}) ([0-9a-f]{64}) (-|[0-9]{1,18})\n", re.ASCII)


@dataclass(frozen=True, slots=True)
class Mark:
    """The newest activation that the supervisor saw in force.

    `leaf`: where the log told it, and up to where it is known to tell of nothing newer; None: of
    before leaves told it, and it counts by this file.
    """

    number: int
    sha256: str
    leaf: int | None


@dataclass(frozen=True, slots=True)
class Trust:
    """Who may have issued an officer's certificate, where the digests lie, and the province."""

    issuers: Issuers
    first: Path
    reached: Path
    province: str

    @classmethod
    def of(cls, home: Home, settings: Settings) -> "Trust":
        """Return that of a HOME; what retired authorities issued counts too, up to that leaf."""
        issuers = Issuers(home, settings.trust_domain, former=True)
        return cls(issuers, home.first_policies, home.policies_in_force, settings.province)

    def is_first(self, sha256: str) -> bool:
        """Tell whether this was the first bundle; any, in a HOME of before its next start.

        Raises OSError.
        """
        return not self.first.exists() or self.first.read_text("ascii").strip() == sha256

    def keep_first(self, sha256: str) -> None:
        """Keep the digest of the first bundle, once; raises OSError."""
        if not self.first.exists():
            replace_public(self.first, f"{sha256}\n".encode("ascii"))

    def mark(self) -> Mark | None:
        """Return how far activations had come, None where nothing was kept yet.

        Raises OSError, ValueError for a file that is none.
        """
        if not self.reached.exists():
            return None
        found = _MARK.fullmatch(self.reached.read_text("ascii"))
        if found is None:
            raise ValueError(f"{self.reached}: not '<number> <sha256> <leaf>'")
        number, sha256, leaf = found.groups()
        return Mark(int(number), sha256, None if leaf == "-" else int(leaf))

    def keep(self, mark: Mark) -> None:
        """Keep how far activations have come, if that is further; raises as `mark`."""
        known = self.mark()
        if known is None or known.number < mark.number:
            leaf = "-" if mark.leaf is None else mark.leaf
            replace_public(self.reached, f"{mark.number} {mark.sha256} {leaf}\n".encode("ascii"))
