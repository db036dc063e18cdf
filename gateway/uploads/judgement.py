"""The judgement of a prepared batch beside what the store knows: cards first, then doses by their day, then documents.

Doses that waited for a card of this batch are judged again among the others (VA-01). What is accepted counts as stored from
then on, so that repetitions inside one batch are found. Pure: it changes the given values and touches nothing else.
"""

from collections.abc import Mapping
from typing import cast

from gateway.records import card_history, history, merge
from gateway.records.keys import DocumentKey, DoseKey
from gateway.records.rulebook import Finding, Findings, Severity
from gateway.records.tables import Tables
from gateway.uploads.held import WAITS, Waiting, state_of
from gateway.uploads.known import Known
from gateway.uploads.received import (
    BALANCE,
    CARD,
    DEVICE,
    DOSE,
    MERGE,
    MOVEMENT,
    REPORT,
    Prepared,
    Received,
)
from gateway.v1.child_pb2 import Child, ChildMerge
from gateway.v1.upload_service_pb2 import (
    ITEM_STATE_ACCEPTED,
    ITEM_STATE_DUPLICATE,
    ITEM_STATE_FLAGGED,
    ITEM_STATE_REJECTED,
)

TAKEN = frozenset({ITEM_STATE_ACCEPTED, ITEM_STATE_FLAGGED})
# Other content under a stored id without a higher revision.
_OTHER_CONTENT: Mapping[int, Finding] = {
    MOVEMENT: Finding("ST-01", "stock_movement.document_id"),
    REPORT: Finding("AE-07", "aefi_report.report_id"),
    MERGE: Finding("ME-03", "child_merge.merge_id"),
    DEVICE: Finding("DE-02", "device.revision"),
}
_REPLACED = Finding("ST-14", "stock_balance")


class Judgement:
    """One batch being judged."""

    def __init__(self, prepared: Prepared, known: Known) -> None:
        """Judge this batch beside these stored records."""
        self._prepared = prepared
        self._known = known
        self._tables: Tables = prepared.desk.tables
        self._severities: Mapping[str, Severity] = self._tables.severities

    def run(self) -> None:
        """Give every item and every waiting dose its state and findings."""
        items = self._prepared.items
        for item in items:
            if item.kind == CARD:
                self._card(item)
        doses: list[Received | Waiting] = [item for item in items if item.dose is not None]
        doses += self._waiting()
        if len(doses) > 1:
            doses.sort(key=_day)
        for dose in doses:
            self._dose(dose)
        for item in items:
            if item.kind != CARD and item.dose is None:
                self._document(item)
        if self._prepared.batch.sequence > self._known.sequence + 1:
            self._gap(items[0])

    def _gap(self, first: Received) -> None:
        """EN-05: told on the batch's first item; one that was accepted is flagged by it."""
        first.findings.append(Finding("EN-05", "sequence"))
        if first.state == ITEM_STATE_ACCEPTED:
            first.state = state_of(first.findings, self._severities)

    def _waiting(self) -> list[Waiting]:
        """Return the waiting doses whose card is now known; one past its deadline is rejected."""
        now_us = self._prepared.desk.now_us
        ready = []
        for waiting in self._known.waiting:
            if waiting.deadline_us <= now_us:
                waiting.findings.append(Finding(WAITS, "vaccination.child_code"))
                waiting.state = ITEM_STATE_REJECTED
            elif waiting.key.child_tag in self._known.cards:
                ready.append(waiting)
        return ready

    def _card(self, item: Received) -> None:
        findings, card = item.findings, item.card
        item.state = state_of(findings, self._severities)
        if card is None or item.state == ITEM_STATE_REJECTED:
            item.state = ITEM_STATE_REJECTED
            return
        known, tag = self._known, card.child.child_tag
        stored, retired = known.cards.get(tag), tag in known.retired
        if not retired and card_history.same_card(card.child, stored):
            item.state = ITEM_STATE_DUPLICATE
            item.findings = []
            return
        findings += card_history.judge(cast(Child, item.record), card, stored, retired, known.owners)
        item.state = state_of(findings, self._severities)
        if item.state in TAKEN:
            known.cards[tag] = card.child._replace(item_index=item.index)
            known.owners.update((identity, tag) for identity in card.identities)

    def _dose(self, item: Received | Waiting) -> None:
        key = item.key if isinstance(item, Waiting) else cast(DoseKey, item.dose)
        item.state = state_of(item.findings, self._severities)
        if item.state == ITEM_STATE_REJECTED:
            return
        stored = self._known.records.get((key.record_id, key.unit_code))
        if stored is not None and stored.content_tag == key.content_tag:
            item.state = ITEM_STATE_DUPLICATE
            item.findings = []
            return
        new = self._beside(key, stored, has_reason=item.has_reason)
        if new:
            item.findings += new
            item.state = state_of(item.findings, self._severities)
        if item.state in TAKEN:
            self._known.add_dose(key if isinstance(item, Waiting) else key._replace(item_index=item.index))

    def _beside(self, key: DoseKey, stored: DoseKey | None, *, has_reason: bool) -> Findings:
        """Return the findings of a dose beside stored ones."""
        known = self._known
        found: Findings = []
        if stored is not None:
            if key.revision <= stored.revision:
                return [Finding("VA-21", "vaccination.revision")]
            if not has_reason:
                found.append(Finding("VA-22", "vaccination.correction_reason"))
        if key.child_tag in known.retired:
            return [*found, Finding("CH-22", "vaccination.child_code")]
        card = known.cards.get(key.child_tag)
        if card is None:
            return [*found, Finding(WAITS, "vaccination.child_code")]
        return found + history.judge(key, card, known.others(key), self._tables)

    def _document(self, item: Received) -> None:
        item.state = state_of(item.findings, self._severities)
        key = item.document
        if key is None or item.kind == DOSE or item.state == ITEM_STATE_REJECTED:
            item.state = ITEM_STATE_REJECTED
            return
        stored = self._known.documents.get(key[:3])
        if stored is not None:
            if stored.content_tag == key.content_tag:
                item.state = ITEM_STATE_DUPLICATE
                item.findings = []
                return
            key = self._changed(item, key, stored)
        if item.kind == MERGE:
            item.findings += merge.judge_merge_known(
                item.tags, self._known.cards, self._known.retired, self._prepared.desk
            )
        item.state = state_of(item.findings, self._severities)
        if item.state in TAKEN:
            item.document = self._known.documents[key[:3]] = key._replace(item_index=item.index)
            if item.kind == MERGE:
                self._known.retired.update(item.tags[1:])

    def _changed(self, item: Received, key: DocumentKey, stored: DocumentKey) -> DocumentKey:
        """Find what is wrong with other content under a stored id; a balance has no revision of its own and gets the next."""
        if item.kind == BALANCE:
            item.findings.append(_REPLACED)
            return key._replace(revision=stored.revision + 1)
        if key.revision <= stored.revision or item.kind == MERGE:
            item.findings.append(_OTHER_CONTENT[item.kind])
        return key


def _day(item: Received | Waiting) -> int:
    key = item.key if isinstance(item, Waiting) else cast(DoseKey, item.dose)
    return key.vaccinated_date.toordinal()


def kept_child(record: ChildMerge) -> str:
    """Return the code of the card that a merge keeps."""
    return record.kept_child_code
