"""The judgement of a prepared batch beside what the store knows.

Cards come first, then doses by their day, then documents. Doses that waited for a card of this
batch are judged again among the others (VA-01). What is taken counts as stored from then on, so
that repetitions inside one batch are found. Pure: it changes the given values and nothing else.
"""

from collections.abc import Iterable, Mapping
from datetime import date

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
    MERGE,
    MOVEMENT,
    REPORT,
    Prepared,
    Received,
)
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


class DoseJudge:
    """Judges doses one after another, of one batch or of the waiting ones."""

    def __init__(self, known: Known, tables: Tables) -> None:
        """Judge beside these stored records."""
        self._known = known
        self._tables = tables
        self._severities = tables.severities

    def run(self, doses: Iterable[Received | Waiting]) -> None:
        """Judge doses in the order of their days: an earlier one of a series before the later."""
        dated = [(one.dose, one) for one in doses if one.dose is not None]
        if len(dated) > 1:
            dated.sort(key=_day)
        for key, one in dated:
            self.judge(key, one)

    def judge(self, key: DoseKey, item: Received | Waiting) -> None:
        """Give a dose its state and findings; one that is taken is stored for those after it."""
        item.findings = item.found
        item.state = state_of(item.found, self._severities)
        if item.state == ITEM_STATE_REJECTED:
            return
        stored = self._known.records.get((key.record_id, key.unit_code))
        if stored is not None and stored.content_tag == key.content_tag:
            item.state = ITEM_STATE_DUPLICATE
            item.findings = ()
            return
        new = self._beside(key, stored, has_reason=item.has_reason)
        if new:
            item.findings = [*item.found, *new]
            item.state = state_of(item.findings, self._severities)
        if item.state in TAKEN:
            self._known.take_dose(key)

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
        DoseJudge(self._known, self._tables).run([*items, *self._waiting()])
        for item in items:
            if item.kind != CARD and item.dose is None:
                self._document(item)
        batch = self._prepared.batch
        if self._known.take_sequence(batch.unit_code, batch.sequence):
            self._gap(items[0])

    def _gap(self, first: Received) -> None:
        """EN-05: told on the batch's first item; one that was accepted is flagged by it."""
        first.findings = [*first.findings, Finding("EN-05", "sequence")]
        if first.state == ITEM_STATE_ACCEPTED:
            first.state = state_of(first.findings, self._severities)

    def _waiting(self) -> list[Waiting]:
        """Return the waiting doses whose card has come in time; the sweep sees to the others."""
        now_us, cards = self._prepared.desk.now_us, self._known.cards
        return [
            one
            for one in self._known.waiting
            if one.deadline_us > now_us and one.dose.child_tag in cards
        ]

    def _card(self, item: Received) -> None:
        card = item.card
        item.findings = item.found
        item.state = state_of(item.found, self._severities)
        if card is None or item.state == ITEM_STATE_REJECTED:
            item.state = ITEM_STATE_REJECTED
            return
        known, tag = self._known, card.child.child_tag
        stored, retired = known.cards.get(tag), tag in known.retired
        if not retired and card_history.same_card(card.child, stored):
            item.state = ITEM_STATE_DUPLICATE
            item.findings = ()
            return
        new = card_history.judge(card, stored, retired=retired, owners=known.owners)
        item.findings = [*item.found, *new]
        item.state = state_of(item.findings, self._severities)
        if item.state in TAKEN:
            known.take_card(card)

    def _document(self, item: Received) -> None:
        item.findings = item.found
        item.state = state_of(item.found, self._severities)
        key = item.document
        if key is None or item.state == ITEM_STATE_REJECTED:
            item.state = ITEM_STATE_REJECTED
            return
        stored = self._known.documents.get((key.kind, key.unit_code, key.document_id))
        if stored is not None and stored.content_tag == key.content_tag:
            item.state = ITEM_STATE_DUPLICATE
            item.findings = ()
            return
        new: Findings = []
        if stored is not None:
            new += self._changed(key, stored)
            if key.kind == BALANCE:
                key = key._replace(revision=stored.revision + 1)
        if item.kind == MERGE:
            desk = self._prepared.desk
            new += merge.judge_merge_known(item.tags, self._known.cards, self._known.retired, desk)
        item.findings = [*item.found, *new]
        item.state = state_of(item.findings, self._severities)
        if item.state in TAKEN:
            self._known.take_document(key, item.record_key or b"")
            if item.kind == MERGE:
                self._known.retired.update(item.tags[1:])

    def _changed(self, key: DocumentKey, stored: DocumentKey) -> Findings:
        """Find what is wrong with other content; a balance has no revision and replaces."""
        if key.kind == BALANCE:
            return [_REPLACED]
        newer = key.revision > stored.revision and key.kind != MERGE
        return [] if newer else [_OTHER_CONTENT[key.kind]]


def _day(dated: tuple[DoseKey, Received | Waiting]) -> date:
    return dated[0].vaccinated_date
