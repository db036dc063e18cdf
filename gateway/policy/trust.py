"""What a bundle is believed by beside its rows: HOME's authorities, and the first one's digest.

Two officers sign every bundle but the first, which is the founding's. So that nobody who writes
rows puts another in its place, its digest lies in HOME/public/first-policies (decision 0019).
"""

from dataclasses import dataclass
from pathlib import Path

from gateway.config.folders import replace_public
from gateway.config.home import Home
from gateway.pki.issuers import Issuers


@dataclass(frozen=True, slots=True)
class Trust:
    """Who may have issued an officer's certificate, and where the digest lies."""

    issuers: Issuers
    first: Path

    @classmethod
    def of(cls, home: Home, trust_domain: str) -> "Trust":
        """Return that of a HOME; what retired authorities issued counts too."""
        return cls(Issuers(home, trust_domain, former=True), home.first_policies)

    def is_first(self, sha256: str) -> bool:
        """Tell whether this was the first bundle; any, in a HOME of before its next start.

        Raises OSError.
        """
        return not self.first.exists() or self.first.read_text("ascii").strip() == sha256

    def keep_first(self, sha256: str) -> None:
        """Keep the digest of the first bundle, once; raises OSError."""
        if not self.first.exists():
            replace_public(self.first, f"{sha256}\n".encode("ascii"))
