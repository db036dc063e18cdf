"""A child's card.

The rules that need nothing but the card, the tables and the register (CH-01 to CH-18, CH-21).
"""

from collections.abc import Callable, Mapping

from gateway.records.card import BETWEEN, Card, unit_of
from gateway.records.desk import Desk
from gateway.records.form import FULL_WIDTH, empty_items, form_findings, text_is_fit
from gateway.records.ids import (
    CHILD_CODE,
    SENTINEL,
    identity_number_is_male,
    is_birth_certificate,
    is_phone,
)
from gateway.records.rulebook import Finding, Findings
from gateway.records.schedule import add_months
from gateway.records.vaccination import MOST_REVISIONS
from gateway.v1 import child_pb2 as c

PATH = "child"
_SEXES = frozenset({c.SEX_MALE, c.SEX_FEMALE})
_GONE = frozenset({c.REGISTER_STATUS_LEFT, c.REGISTER_STATUS_DEAD})
_RESIDENT_CARD = c.IDENTITY_DOCUMENT_RESIDENT_CARD
_NOT_YET = c.IDENTITY_DOCUMENT_NOT_YET_OBTAINED
_UNIT_DIGITS = 10
# Items whose emptiness another rule tells.
_OWN_RULE = frozenset(f"{PATH}.{name}" for name in ("child_code", "sex", "birth_date", "guardians"))
# Enum fields of a card and their numbers; 0 is known and means "not sent".
_KNOWN: Mapping[str, frozenset[int]] = {
    field.name: frozenset(field.enum_type.values_by_number)
    for field in c.Child.DESCRIPTOR.fields
    if field.enum_type is not None
}
_DOCUMENTS, _RELATIONS = _KNOWN["document"], frozenset(c.Guardian.Relation.values())
_RESULTS = frozenset(c.TestResult.values())


def judge(card: Card, desk: Desk, *, strange: bool = False) -> Findings:
    """Return every finding that needs no stored record, in the order of RULES.

    `strange`: there may be unknown fields.
    """
    rules = RULES if strange or not plain(card, desk) else _ABOUT_VALUES
    return [finding for rule in rules for finding in rule(card, desk)]


def plain(card: Card, desk: Desk) -> bool:
    """Return whether certainly neither `form` nor `complete` finds anything.

    Unknown fields are not looked for.
    """
    record, reason = card.record, card.record.correction_reason
    if card.texts.count(BETWEEN) != card.parts - 1 or FULL_WIDTH.search(card.texts):
        return False
    if not text_is_fit(card.texts.replace(BETWEEN, "")) or not (not reason or text_is_fit(reason)):
        return False
    if card.filed is None or (card.status_date is None and record.HasField("status_date")):
        return False
    return _plain_codes(record) and _filled(record, desk)


def _plain_codes(record: c.Child) -> bool:
    restricted = record.restricted
    return (
        all(getattr(record, name) in known for name, known in _KNOWN.items())
        and all(
            one.relation in _RELATIONS and one.document in _DOCUMENTS for one in record.guardians
        )
        and restricted.mother_hbsag in _RESULTS
        and restricted.mother_hiv in _RESULTS
        and record.revision < MOST_REVISIONS
    )


def _filled(record: c.Child, desk: Desk) -> bool:
    household, residence = record.household, record.residence
    texts = (
        record.name,
        record.file_unit_code,
        household.division_code,
        household.detail,
        residence.division_code,
        residence.detail,
    )
    return (
        all(text and not text.isspace() for text in texts)
        and record.household_category != 0
        and record.residence_type != 0
        and record.status != 0
        and desk.usual_cards
    )


def _at(rule_id: str, field: str) -> Findings:
    return [Finding(rule_id, f"{PATH}.{field}")]


def form(card: Card, _desk: Desk) -> Findings:
    """EN-08, EN-09, EN-10.

    Known fields and codes, fit texts, real days, a revision that can be counted.
    """
    found = form_findings(card.record, PATH)
    for name, day in (("filed_date", card.filed), ("status_date", card.status_date)):
        if day is None and card.record.HasField(name):  # type: ignore[arg-type] # two of the literals mypy-protobuf lists
            found += _at("EN-10", name)
    if card.record.revision >= MOST_REVISIONS:
        found += _at("EN-10", "revision")
    return found


def code(card: Card, desk: Desk) -> Findings:
    """CH-01, CH-02: 18 digits; a filing unit of our province is in the register."""
    child_code = card.record.child_code
    if not CHILD_CODE.fullmatch(child_code):
        return _at("CH-01", "child_code")
    ours = child_code.startswith(desk.tables.province)
    return (
        _at("CH-02", "child_code") if ours and desk.unit(child_code[:_UNIT_DIGITS]) is None else []
    )


def managed_by_sender(card: Card, desk: Desk) -> Findings:
    """EN-03: the unit that manages the card is the sender's."""
    field = "current_unit_code" if card.record.current_unit_code else "file_unit_code"
    return [] if desk.in_scope(unit_of(card.record)) else _at("EN-03", field)


def born(card: Card, desk: Desk) -> Findings:
    """CH-03, CH-04: a real day, not in the future, not longer ago than childhood."""
    if card.birth is None or card.birth > desk.today:
        return _at("CH-03", "birth_date")
    grown = add_months(card.birth, 12 * (desk.tables.thresholds.child_age_years + 1)) <= desk.today
    return _at("CH-04", "birth_date") if grown else []


def sex(card: Card, _desk: Desk) -> Findings:
    """CH-05: male or female."""
    return [] if card.record.sex in _SEXES else _at("CH-05", "sex")


def identity_number(card: Card, desk: Desk) -> Findings:
    """CH-06 to CH-10: the number fits its document, the birth date, the sex and a division."""
    number, document = card.number, card.record.document
    if number == SENTINEL:
        return _at("CH-10", "document_number")
    if document == _NOT_YET and number:
        return _at("CH-06", "document_number")
    if document != _RESIDENT_CARD:
        return []
    day = card.number_day
    if day is None:
        return _at("CH-06", "document_number")
    found: Findings = []
    if card.birth is not None and day != card.birth:
        found += _at("CH-07", "document_number")
    if card.record.sex in _SEXES and identity_number_is_male(number) != (
        card.record.sex == c.SEX_MALE
    ):
        found += _at("CH-08", "document_number")
    division = number[:6]
    abolished = division in desk.tables.abolished_divisions
    if abolished or not desk.tables.division_known(division):
        found += _at("CH-09", "document_number")
    return found


def birth_certificate(card: Card, _desk: Desk) -> Findings:
    """CH-11: a letter and nine digits, where there is one."""
    number = card.record.birth_certificate_number
    return (
        _at("CH-11", "birth_certificate_number")
        if number and not is_birth_certificate(number)
        else []
    )


def guardians(card: Card, _desk: Desk) -> Findings:
    """CH-12, CH-13: at least one with name and phone; phones have their form."""
    complete = any(
        guardian.name.strip() and guardian.phone.strip() for guardian in card.record.guardians
    )
    found = [] if complete else _at("CH-12", "guardians")
    if any(guardian.phone and not is_phone(guardian.phone) for guardian in card.record.guardians):
        found += _at("CH-13", "guardians.phone")
    return found


def addresses(card: Card, desk: Desk) -> Findings:
    """CH-14: the divisions of household and residence are in the table."""
    found: Findings = []
    for name, address in (
        ("household", card.record.household),
        ("residence", card.record.residence),
    ):
        if address.division_code and not desk.tables.division_known(address.division_code):
            found += _at("CH-14", f"{name}.division_code")
    return found


def weight(card: Card, desk: Desk) -> Findings:
    """CH-15: a birth weight in grams that a child can have."""
    grams, limits = card.record.birth_weight_grams, desk.tables.thresholds
    odd = grams and not limits.birth_weight_min_grams <= grams <= limits.birth_weight_max_grams
    return _at("CH-15", "birth_weight_grams") if odd else []


def filed(card: Card, desk: Desk) -> Findings:
    """CH-16, CH-17: filed after the birth and within the time that the law gives."""
    if card.filed is None or card.birth is None:
        return []
    if card.filed < card.birth:
        return _at("CH-16", "filed_date")
    due = add_months(card.birth, desk.tables.thresholds.filed_within_months)
    return _at("CH-17", "filed_date") if card.filed > due else []


def status(card: Card, _desk: Desk) -> Findings:
    """CH-18: a child that left or died has the date and the reason."""
    if card.record.status not in _GONE:
        return []
    found: Findings = []
    if card.status_date is None:
        found += _at("CH-18", "status_date")
    if not card.record.status_reason.strip():
        found += _at("CH-18", "status_reason")
    return found


def complete(card: Card, desk: Desk) -> Findings:
    """CH-21: the required items are filled."""
    paths = empty_items(card.record, desk.tables.required.child, PATH)
    return [Finding("CH-21", path) for path in paths if path not in _OWN_RULE]


RULES: tuple[Callable[[Card, Desk], Findings], ...] = (
    form,
    code,
    managed_by_sender,
    born,
    sex,
    identity_number,
    birth_certificate,
    guardians,
    addresses,
    weight,
    filed,
    status,
    complete,
)
_ABOUT_VALUES = tuple(rule for rule in RULES if rule not in (form, complete))
