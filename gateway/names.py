"""The grammar of names: SPIFFE ids in certificates, organisation and unit codes, account names.

An id is `spiffe://<trust-domain>/org/<6-12 digits>/sys/<name>` for a system and
`.../officer/<name>` for a person (SPIFFE-ID.md section 2; the path is our own closed form).
Parsing is strict on ASCII: no percent escapes, no dots, no upper case, nothing after the name.
"""

import re
from dataclasses import dataclass
from typing import Literal

DEFAULT_TRUST_DOMAIN = "gateway.invalid"
SUBJECT_NAME = re.compile(r"[a-z0-9-]{1,40}", re.ASCII)
ACCOUNT_NAME = re.compile(r"[a-z0-9.-]{3,40}", re.ASCII)
ORGANISATION_CODE = re.compile(r"[0-9]{6,12}", re.ASCII)
UNIT_CODE = re.compile(r"[0-9]{10}", re.ASCII)
# A peer of a VPN: a WireGuard public key, or an IKE identity that cannot be a number of a person.
TUNNEL_PEER = re.compile(
    r"[A-Za-z0-9+/]{43}=|(?!.*[0-9]{9})(?=.*[A-Za-z])(?:[A-Za-z0-9_.:/@=-]|, ){1,64}", re.ASCII
)
# A file of policies, by its path below their folder; no run of digits that could be a person's.
FILE_NAME = re.compile(r"(?:[a-z_./-]|[0-9](?![0-9]{8})){1,64}", re.ASCII)
TRUST_DOMAIN = re.compile(r"[a-z0-9._-]{1,255}", re.ASCII)
_ID = re.compile(
    r"spiffe://([a-z0-9._-]{1,255})/org/([0-9]{6,12})/(sys|officer)/([a-z0-9-]{1,40})", re.ASCII
)

SubjectKind = Literal["sys", "officer"]


class MalformedNameError(ValueError):
    """The text is not one of our ids."""


@dataclass(frozen=True, slots=True)
class Subject:
    """Whom a certificate names: a system or an officer of an organisation."""

    trust_domain: str
    organisation: str
    kind: SubjectKind
    name: str

    def __str__(self) -> str:
        """Return the SPIFFE id."""
        return f"spiffe://{self.trust_domain}/org/{self.organisation}/{self.kind}/{self.name}"


def parse_subject(uri: str) -> Subject:
    """Return the subject an id names; raises MalformedNameError when it is not of our form."""
    match = _ID.fullmatch(uri)
    if match is None:
        msg = "not a SPIFFE id of this gateway's form"
        raise MalformedNameError(msg)
    domain, organisation, kind, name = match.groups()
    return Subject(domain, organisation, "sys" if kind == "sys" else "officer", name)
