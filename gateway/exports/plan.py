"""A plan: exactly what an export is asked to hold, for whom and until when; frozen and hashed.

Its canonical JSON is what approvers read, what they sign the SHA-256 of, and what the file is built
from. Anything else, be it one byte, is another plan.
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import date
from typing import Any, Literal, get_args

from gateway.names import ACCOUNT_NAME, ORGANISATION_CODE, SUBJECT_NAME, TUNNEL_PEER, UNIT_CODE
from gateway.tlog import leaf

PLAN_VERSION = 1
Dataset = Literal["children", "vaccinations", "stock", "adverse_events"]
Format = Literal["csv", "csv-bom", "parquet"]
DATASETS: tuple[Dataset, ...] = get_args(Dataset)
FORMATS: tuple[Format, ...] = get_args(Format)

_DIVISION = re.compile(r"[0-9]{6}", re.ASCII)
_VACCINE = re.compile(r"[0-9]{4}", re.ASCII)
_COLUMN = re.compile(r"[a-z][a-z0-9_]{0,39}(?:\.[a-z][a-z0-9_]{0,39}){0,3}", re.ASCII)
_WORD = re.compile(r"[a-z][a-z0-9-]{0,39}", re.ASCII)
_SHA256 = re.compile(r"[0-9a-f]{64}", re.ASCII)
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)
# A tunnel is named in the settings, or is a peer of a VPN.
_PLACE = re.compile(r"[A-Za-z0-9_.:/-]{1,64}", re.ASCII)


class PlanError(ValueError):
    """These bytes are no plan; the text names the field, never its value."""


@dataclass(frozen=True, slots=True)
class Party:
    """A person of an organisation, by the certificate's subject name, and the account used."""

    organisation: str
    name: str
    account: str

    @property
    def person(self) -> tuple[str, str]:
        """Who it is, whatever the account: organisation and subject name."""
        return self.organisation, self.name


@dataclass(frozen=True, slots=True)
class Plan:
    """What is asked for. Days are inclusive; None and empty filters ask for everything there is.

    `divisions` are six digits each, sorted, never empty; `columns` are field paths in the
    contract's message, or "child_token" and "record_token"; digests are lower hex; times are
    microseconds since 1970 UTC.
    """

    dataset: Dataset
    divisions: tuple[str, ...]
    born_from: date | None
    born_until: date | None
    happened_from: date | None
    happened_until: date | None
    vaccine_codes: tuple[str, ...]
    units: tuple[str, ...]
    columns: tuple[str, ...]
    purpose: str
    legal_basis: str
    requester: Party
    recipient: Party
    connection_certificate_sha256: str
    encryption_certificate_sha256: str
    tunnel: str
    row_cap: int
    child_cap: int
    not_before_us: int
    not_after_us: int
    destroy_by: date
    format: Format

    def canonical(self) -> bytes:
        """Return the bytes that are hashed, shown and signed (tlog.leaf: one value, one form)."""
        document: dict[str, leaf.Json] = {"version": PLAN_VERSION}
        for one in fields(self):
            document[one.name] = _out(getattr(self, one.name))
        return leaf.encode(document)

    @property
    def sha256(self) -> str:
        """The SHA-256 of the canonical bytes, lower hex."""
        return hashlib.sha256(self.canonical()).hexdigest()


def parse(content: bytes) -> Plan:
    """Return the plan of canonical bytes; raises PlanError for every other byte sequence."""
    try:
        document = leaf.parse(content)
    except leaf.LeafError as error:
        raise PlanError(str(error)) from error
    if document.pop("version", None) != PLAN_VERSION:
        raise PlanError("version")
    if set(document) != {one.name for one in fields(Plan)}:
        raise PlanError("other fields than a plan's")
    values = {name: _READ[name](name, value) for name, value in document.items()}
    plan = Plan(**values)
    fault = misshapen(plan)
    if fault or plan.canonical() != content:
        raise PlanError(fault or "not canonical")
    return plan


def misshapen(plan: Plan) -> str:
    """Return the name of the first field that is not of its form, "" where all are.

    No list is shortened and nothing is left out: what is not understood widens nothing.
    """
    return next((name for name, good in _forms(plan) if not good), "")


def _forms(plan: Plan) -> list[tuple[str, bool]]:
    return [
        ("dataset", plan.dataset in DATASETS),
        ("format", plan.format in FORMATS),
        ("divisions", bool(plan.divisions) and _sorted(plan.divisions, _DIVISION)),
        ("vaccine_codes", _sorted(plan.vaccine_codes, _VACCINE)),
        ("units", _sorted(plan.units, UNIT_CODE)),
        ("columns", bool(plan.columns) and _distinct(plan.columns, _COLUMN)),
        ("born_until", _in_order(plan.born_from, plan.born_until)),
        ("happened_until", _in_order(plan.happened_from, plan.happened_until)),
        ("purpose", _WORD.fullmatch(plan.purpose) is not None),
        ("legal_basis", _WORD.fullmatch(plan.legal_basis) is not None),
        ("requester", _is_party(plan.requester)),
        ("recipient", _is_party(plan.recipient)),
        ("connection_certificate_sha256", _is_digest(plan.connection_certificate_sha256)),
        ("encryption_certificate_sha256", _is_digest(plan.encryption_certificate_sha256)),
        ("tunnel", bool(_PLACE.fullmatch(plan.tunnel) or TUNNEL_PEER.fullmatch(plan.tunnel))),
        ("row_cap", 0 < plan.row_cap <= leaf.INTEGER_MAX),
        ("child_cap", 0 <= plan.child_cap <= leaf.INTEGER_MAX),
        ("not_after_us", 0 <= plan.not_before_us < plan.not_after_us <= leaf.INTEGER_MAX),
    ]


def _sorted(values: tuple[str, ...], form: re.Pattern[str]) -> bool:
    return _distinct(values, form) and list(values) == sorted(values)


def _distinct(values: tuple[str, ...], form: re.Pattern[str]) -> bool:
    return len(set(values)) == len(values) and all(map(form.fullmatch, values))


def _in_order(first: date | None, last: date | None) -> bool:
    return first is None or last is None or first <= last


def _is_digest(text: str) -> bool:
    return _SHA256.fullmatch(text) is not None


def _is_party(party: Party) -> bool:
    return (
        ORGANISATION_CODE.fullmatch(party.organisation) is not None
        and SUBJECT_NAME.fullmatch(party.name) is not None
        and ACCOUNT_NAME.fullmatch(party.account) is not None
    )


def _out(value: object) -> leaf.Json:
    """Return a field as JSON has it: no null there, so an open day is ""."""
    if value is None:
        return ""
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Party):
        return {"account": value.account, "name": value.name, "organisation": value.organisation}
    return value  # type: ignore[return-value] # texts, integers and tuples of texts are left


# Any: each reader gives the type of its own field.
def _text(name: str, value: object) -> Any:  # noqa: ANN401
    if not isinstance(value, str):
        raise PlanError(name)
    return value


def _texts(name: str, value: object) -> Any:  # noqa: ANN401
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise PlanError(name)
    return tuple(value)


def _number(name: str, value: object) -> Any:  # noqa: ANN401
    if not isinstance(value, int) or isinstance(value, bool):
        raise PlanError(name)
    return value


def _open_day(name: str, value: object) -> Any:  # noqa: ANN401
    return None if value == "" else _day(name, value)


def _day(name: str, value: object) -> Any:  # noqa: ANN401
    if not isinstance(value, str) or not _DAY.fullmatch(value):
        raise PlanError(name)
    try:
        return date.fromisoformat(value)
    except ValueError:
        raise PlanError(name) from None


def _party(name: str, value: object) -> Any:  # noqa: ANN401
    if not isinstance(value, Mapping) or set(value) != {"account", "name", "organisation"}:
        raise PlanError(name)
    return Party(**{key: _text(name, one) for key, one in value.items()})


_READ = {
    **dict.fromkeys(("divisions", "vaccine_codes", "units", "columns"), _texts),
    **dict.fromkeys(("row_cap", "child_cap", "not_before_us", "not_after_us"), _number),
    **dict.fromkeys(("born_from", "born_until", "happened_from", "happened_until"), _open_day),
    **dict.fromkeys(("requester", "recipient"), _party),
    **dict.fromkeys(("dataset", "format", "purpose", "legal_basis", "tunnel"), _text),
    **dict.fromkeys(("connection_certificate_sha256", "encryption_certificate_sha256"), _text),
    "destroy_by": _day,
}
