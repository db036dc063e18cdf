"""A card against what is stored.

Its key columns, and the rules about revisions, retired codes and twin cards (CH-19 to CH-23).
"""

import unicodedata
from collections.abc import Mapping
from typing import NamedTuple

from gateway.records.child import PATH, Card, unit_of
from gateway.records.desk import Desk
from gateway.records.form import content
from gateway.records.ids import CHILD_CODE, identity_number_day, is_birth_certificate
from gateway.records.keys import HERE, ChildKey
from gateway.records.rulebook import Finding, Findings
from gateway.v1.child_pb2 import IDENTITY_DOCUMENT_RESIDENT_CARD, Guardian

_WITHOUT = frozenset({"revision", "correction_reason"})


class CardKey(NamedTuple):
    """The key columns of a card.

    And the tags of its valid identity number and birth certificate number (tier D0).
    """

    child: ChildKey
    identities: tuple[bytes, ...]
    has_reason: bool


def normal_name(name: str) -> str:
    """Return a name as it is compared: NFKC, no spaces, upper case."""
    return "".join(unicodedata.normalize("NFKC", name).split()).upper()


def key_of(card: Card, desk: Desk, index: int) -> CardKey | None:
    """Return the key columns of a batch's item, or None when it lacks what a stored card must have.

    CH-01, CH-03.
    """
    record = card.record
    if card.birth is None or not CHILD_CODE.fullmatch(record.child_code):
        return None
    mothers = [
        g.name
        for g in record.guardians
        if g.relation == Guardian.RELATION_MOTHER and g.name.strip()
    ]
    child = ChildKey(
        desk.child_tag(record.child_code),
        card.birth,
        record.sex,
        record.status,
        card.status_date,
        record.revision,
        unit_of(record),
        desk.tag("name", normal_name(record.name)),
        desk.tag("mother", normal_name(mothers[0])) if mothers else None,
        desk.tag("card", content(record, _WITHOUT)),
        HERE,
        index,
    )
    return CardKey(child, _identities(card, desk), record.correction_reason.strip() != "")


def _identities(card: Card, desk: Desk) -> tuple[bytes, ...]:
    """Return tags of what certainly names one child.

    Sentinels and numbers that fail their check never contribute.
    """
    found: list[bytes] = []
    valid = identity_number_day(card.number) is not None
    if card.record.document == IDENTITY_DOCUMENT_RESIDENT_CARD and valid:
        found.append(desk.tag("identity", card.number))
    certificate = card.record.birth_certificate_number
    if is_birth_certificate(certificate):
        found.append(desk.tag("birth-certificate", certificate))
    return tuple(found)


def same_card(key: ChildKey, stored: ChildKey | None) -> bool:
    """Return whether the very same content is stored: the card is a duplicate."""
    return stored is not None and stored.content_tag == key.content_tag


def judge(
    key: CardKey,
    stored: ChildKey | None,
    *,
    retired: bool,
    owners: Mapping[bytes, bytes],
) -> Findings:
    """Return every finding about a card beside the stored ones.

    `owners`: child tag by identity tag.
    """
    if retired:
        return [Finding("CH-22", f"{PATH}.child_code")]
    found: Findings = []
    if stored is not None:
        found += _correction(key, stored)
    if any(owners.get(tag, key.child.child_tag) != key.child.child_tag for tag in key.identities):
        found.append(Finding("CH-23", f"{PATH}.document_number"))
    return found


def _correction(card: CardKey, stored: ChildKey) -> Findings:
    key = card.child
    if key.revision <= stored.revision:
        return [Finding("CH-20", f"{PATH}.revision")]
    if card.has_reason:
        return []
    changed = (
        ("birth_date", key.birth_date != stored.birth_date),
        ("sex", key.sex != stored.sex),
        ("name", key.name_tag != stored.name_tag),
    )
    return [Finding("CH-19", f"{PATH}.{name}") for name, differs in changed if differs]
