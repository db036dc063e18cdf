"""The words of audit leaves: what one may count, what else it may tell, each with its grammar.

Append-only: a word keeps its meaning as long as there are leaves that say it.
"""

import re
from collections.abc import Mapping
from types import MappingProxyType

from gateway.names import (
    ACCOUNT_NAME,
    FILE_NAME,
    ORGANISATION_CODE,
    SUBJECT_NAME,
    TUNNEL_PEER,
    UNIT_CODE,
)

WORD = re.compile(r"[a-z][a-z_]{0,39}", re.ASCII)
DOTTED = re.compile(r"(?=.{1,64}\Z)[a-z]+(?:[._-][a-z]+){0,7}", re.ASCII)
SHA256 = re.compile(r"[0-9a-f]{64}", re.ASCII)
# The id of a signing key in a note (C2SP signed-note): the first 4 bytes of a hash.
KEY_ID = re.compile(r"[0-9a-f]{8}", re.ASCII)
UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII)

# What may be counted in a leaf.
COUNTS = frozenset(
    {
        "accepted",
        "accounts",
        "batches",
        "bytes",
        "calls",
        "children",
        "certificates",
        "confirmations",
        "copies",
        "divisions",
        "duplicate",
        "entries",
        "flagged",
        "invitations",
        "items",
        "leaves",
        "missing",
        "organisations",
        "packets",
        "quarantined",
        "refused",
        "rejected",
        "released",
        "removed",
        "roles",
        "rows",
        "sessions",
        "superseded",
        "suppressed",
        "systems",
        "tunnels",
        "units",
        "unknown",
    }
)

# What else a leaf may tell, each word with the grammar of its value; an integer where it is None.
DETAILS: Mapping[str, re.Pattern[str] | None] = MappingProxyType(
    {
        # Which activation of policies it would become, and how long after one another two sign.
        "activation": None,
        "alert": DOTTED,
        "apart_s": None,
        "approvers": re.compile(r"(?!.*[0-9]{15})[a-z0-9-]{1,40}\.[a-z0-9-]{1,40}", re.ASCII),
        "cause": DOTTED,
        "checkpoint_sha256": SHA256,
        "clock_from_us": None,
        "clock_until_us": None,
        "counter": WORD,
        "crl_number": None,
        "digest": SHA256,
        "envelope": None,
        "exit": None,
        # All that a decision on a ticket was asked with (policy.facts), and its moment.
        "facts_sha256": SHA256,
        # A file of the log (C2SP tlog-tiles) or a side part, by a path that we wrote.
        "file": re.compile(
            r"checkpoint|tile/(?:[0-7]|entries)(?:/x[0-9]{3}){0,6}/[0-9]{3}(?:\.p/[1-9][0-9]{0,2})?"
            r"|sealed/[0-9a-f]{64}",
            re.ASCII,
        ),
        "first_us": None,
        "from_size": None,
        "from_state": WORD,
        "generation": None,
        "invitation": UUID,
        "issuer_sha256": SHA256,
        "judged_us": None,
        "last_us": None,
        "level": DOTTED,
        "limit": None,
        "manifest_sha256": SHA256,
        "method": WORD,
        "new_key": KEY_ID,
        "not_after_us": None,
        "offered_tls": re.compile(r"(?:SSLv3|TLSv1(?:\.[0-3])?|none)", re.ASCII),
        "officers": re.compile(r"(?!.*[0-9]{15})[a-z0-9-]{1,40}(?:\.[a-z0-9-]{1,40}){2}", re.ASCII),
        "old_key": KEY_ID,
        "opening": UUID,
        "outage_from_us": None,
        "outage_until_us": None,
        "page": None,
        "parent_organisation": ORGANISATION_CODE,
        "pid": None,
        # The leaf whose side part was read or destroyed, and the digest of that.
        "part_index": None,
        "part_sha256": SHA256,
        "payload_sha256": SHA256,
        "plan_sha256": SHA256,
        "policies_sha256": SHA256,
        # Of each file of policies: its name and its SHA-256.
        "policy_files": re.compile(
            rf"{FILE_NAME.pattern}=[0-9a-f]{{64}}(?: {FILE_NAME.pattern}=[0-9a-f]{{64}})*", re.ASCII
        ),
        "process": WORD,
        "profile": re.compile(r"mlps3|nist", re.ASCII),
        "purpose": DOTTED,
        "quarter": re.compile(r"[0-9]{4}Q[1-4]", re.ASCII),
        "relation": WORD,
        "relative_organisation": ORGANISATION_CODE,
        "restarts": None,
        "revision": None,
        "role": WORD,
        "roles": re.compile(r"[a-z_]{1,24}(?:\.[a-z_]{1,24}){0,7}", re.ASCII),
        "secret": DOTTED,
        # Of a drill: how long it took, and how long before it what was restored ends.
        "rpo_s": None,
        "rto_s": None,
        "settings_sha256": SHA256,
        "signal": None,
        "size": None,
        "source": re.compile(r"[0-9a-f.:]{2,45}/[0-9]{1,3}", re.ASCII),
        "spki_sha256": SHA256,
        "statement_sha256": SHA256,
        "state": WORD,
        "step": WORD,
        "target_account": re.compile(rf"(?!.*[0-9]{{15}}){ACCOUNT_NAME.pattern}", re.ASCII),
        "target_bundle": SHA256,
        "target_certificate": SHA256,
        "target_organisation": ORGANISATION_CODE,
        "target_serial": re.compile(r"[0-9a-f]{1,40}", re.ASCII),
        "target_session": re.compile(r"[0-9a-f]{32}", re.ASCII),
        "target_subject_kind": re.compile(r"sys|officer", re.ASCII),
        "target_subject_name": re.compile(rf"(?!.*[0-9]{{15}}){SUBJECT_NAME.pattern}", re.ASCII),
        "target_tunnel": TUNNEL_PEER,
        "target_unit": UNIT_CODE,
        "ticket": re.compile(r"[A-Z]{1,10}-[0-9]{1,8}", re.ASCII),
        "ticket_mac": SHA256,
        "ticket_sha256": SHA256,
        "ticket_version": None,
        "to_state": WORD,
        "total": None,
        "valid_from_us": None,
        "witness_key": KEY_ID,
        "version": re.compile(r"[0-9]{1,4}(?:\.[0-9]{1,4}){0,3}", re.ASCII),
    }
)
