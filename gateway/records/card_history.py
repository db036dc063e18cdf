"""A card beside stored ones: revisions, retired codes and twin cards (CH-19 to CH-23)."""

from collections.abc import Mapping

from gateway.records.card import CardKey
from gateway.records.child import PATH
from gateway.records.keys import ChildKey
from gateway.records.rulebook import Finding, Findings


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
    """Return every finding about a card; `owners`: the child tag of an identity tag."""
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
