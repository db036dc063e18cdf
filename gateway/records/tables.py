"""The province's code tables, schedule, thresholds and severities as dated values.

Read once from `policies/`.
"""

import csv
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import date
from pathlib import Path
from types import MappingProxyType

from google.protobuf.descriptor import Descriptor

from gateway.config.strict import SettingsError, build, read
from gateway.records.rulebook import RULES, Severity
from gateway.v1.upload_service_pb2 import Item
from gateway.v1.vaccination_pb2 import Vaccination

# The first two digits of GB/T 2260 codes: provinces, autonomous regions, municipalities, special
# administrative regions.
_PROVINCE = re.compile(r"(1[1-5]|2[1-3]|3[1-7]|4[1-6]|5[0-4]|6[1-6]|71|8[12])[0-9]{4}", re.ASCII)
_ROUTES: Mapping[str, int] = {
    "": Vaccination.ROUTE_UNSPECIFIED,
    "IM": Vaccination.ROUTE_INTRAMUSCULAR,
    "SC": Vaccination.ROUTE_SUBCUTANEOUS,
    "ID": Vaccination.ROUTE_INTRADERMAL,
    "PO": Vaccination.ROUTE_ORAL,
    "NA": Vaccination.ROUTE_NASAL,
}
_HISTORY = "divisions-history.csv"
_SEVERITIES: Mapping[str, Severity] = {severity.name.lower(): severity for severity in Severity}


@dataclass(frozen=True, slots=True)
class Thresholds:
    """The numbers of policies/rules.toml; the unit is in each name."""

    batch_items: int
    batch_bytes: int
    live_skew_minutes: int
    backfill_days: int
    child_waits_hours: int
    child_age_years: int
    birth_weight_min_grams: int
    birth_weight_max_grams: int
    filed_within_months: int
    live_interval_days: int
    entered_within_days: int
    aefi_report_hours: int


@dataclass(frozen=True, slots=True)
class Vaccine:
    """A product code. `series`: what it counts for, joined by | when several.

    "" where numbers are not judged.
    """

    code: str
    series: str
    all_series: tuple[str, ...]
    programme: bool
    live: bool
    route: int
    female_only: bool
    valid_from: date
    valid_to: date


@dataclass(frozen=True, slots=True)
class ScheduleRule:
    """When one dose of a series is due, as valid from one day to another (both included)."""

    valid_from: date
    valid_to: date
    series: str
    dose_number: int
    min_age_months: int
    before_months: int | None
    interval_days: int
    interval_months: int
    reference_dose: int


@dataclass(frozen=True, slots=True)
class RequiredItems:
    """Field paths that must be filled, per record kind (policies/tables/required-items-*.toml)."""

    child: tuple[str, ...]
    vaccination: tuple[str, ...]
    aefi_report: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _RulesFile:
    schema_versions: tuple[str, ...]
    required_items: str
    province: str
    thresholds: Thresholds


@dataclass(frozen=True, slots=True)
class Tables:
    """Everything that the rules look up.

    `schedule` is by vaccine code and dose number; `related`: the codes that share a series with a
    code; `texts`: English and
    Chinese by rule id.
    """

    schema_versions: frozenset[str]
    province: str
    thresholds: Thresholds
    severities: Mapping[str, Severity]
    texts: Mapping[str, tuple[str, str]]
    required: RequiredItems
    divisions: frozenset[str]
    abolished_divisions: frozenset[str]
    vaccines: Mapping[str, Vaccine]
    related: Mapping[str, frozenset[str]]
    schedule: Mapping[tuple[str, int], tuple[ScheduleRule, ...]]

    @classmethod
    def load(cls, folder: Path) -> "Tables":
        """Return the tables of a policies folder.

        Raises SettingsError naming file and key when one is not as it must be.
        """
        table = read(folder / "rules.toml")
        severity = table.pop("severity", None)
        if not isinstance(severity, Mapping):
            raise SettingsError("rules.toml: severity: missing")
        rules = build(_RulesFile, table, "rules.toml: ")
        tables = folder / "tables"
        vaccines = _vaccines(tables / "vaccines.csv")
        divisions = frozenset(row["code"] for row in _rows(tables / "divisions.csv"))
        return cls(
            schema_versions=frozenset(rules.schema_versions),
            province=rules.province,
            thresholds=rules.thresholds,
            severities=_severities(severity),
            texts=_texts(rules.thresholds),
            required=_required(tables / f"required-items-{rules.required_items}.toml"),
            divisions=divisions,
            abolished_divisions=frozenset(row["code"] for row in _rows(tables / _HISTORY))
            - divisions,
            vaccines=vaccines,
            related=_related(vaccines),
            schedule=_schedule(tables / "schedule.csv"),
        )

    def division_known(self, code: str) -> bool:
        """Return whether a division code exists or existed, as far as we can tell.

        Of other provinces we know the prefix.
        """
        if code.startswith(self.province):
            return code in self.divisions or code in self.abolished_divisions
        return _PROVINCE.fullmatch(code) is not None

    def schedule_rule(self, vaccine_code: str, dose_number: int, day: date) -> ScheduleRule | None:
        """Return the schedule's rule for this dose as valid on that day, or None."""
        for rule in self.schedule.get((vaccine_code, dose_number), ()):
            if rule.valid_from <= day <= rule.valid_to:
                return rule
        return None


def _rows(path: Path) -> Iterator[dict[str, str]]:
    try:
        with path.open(encoding="utf-8", newline="") as file:
            yield from csv.DictReader(file, strict=True)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise SettingsError(f"{path}: cannot be read as CSV") from error


def _day(text: str, otherwise: date) -> date:
    return date.fromisoformat(text) if text else otherwise


def _vaccines(path: Path) -> Mapping[str, Vaccine]:
    try:
        return MappingProxyType(
            {
                row["code"]: Vaccine(
                    code=row["code"],
                    series=row["series"],
                    all_series=tuple(row["series"].split("|")) if row["series"] else (),
                    programme=row["programme"] == "yes",
                    live=row["live"] == "yes",
                    route=_ROUTES[row["route"]],
                    female_only=row["sex"] == "F",
                    valid_from=_day(row["valid_from"], date.min),
                    valid_to=_day(row["valid_to"], date.max),
                )
                for row in _rows(path)
            }
        )
    except (KeyError, ValueError) as error:
        raise SettingsError(
            f"{path}: a column is missing or a value is not of its column"
        ) from error


def _related(vaccines: Mapping[str, Vaccine]) -> Mapping[str, frozenset[str]]:
    """Return for each vaccine code the codes that count for one of its series, itself included."""
    return MappingProxyType(
        {
            one.code: frozenset(
                other.code
                for other in vaccines.values()
                if not set(one.all_series).isdisjoint(other.all_series)
            )
            for one in vaccines.values()
        }
    )


def _schedule(path: Path) -> Mapping[tuple[str, int], tuple[ScheduleRule, ...]]:
    found: dict[tuple[str, int], list[ScheduleRule]] = {}
    try:
        for row in _rows(path):
            rule = ScheduleRule(
                valid_from=_day(row["effective_from"], date.min),
                valid_to=_day(row["effective_to"], date.max),
                series=row["series"],
                dose_number=int(row["dose_no"]),
                min_age_months=int(row["min_age_months"] or 0),
                before_months=int(row["recommended_before_months"] or 0) or None,
                interval_days=int(row["min_interval_days"] or 0),
                interval_months=int(row["min_interval_months"] or 0),
                reference_dose=int(row["interval_ref_dose"] or 0),
            )
            for code in row["codes"].split("|"):
                found.setdefault((code, rule.dose_number), []).append(rule)
    except (KeyError, ValueError) as error:
        raise SettingsError(
            f"{path}: a column is missing or a value is not of its column"
        ) from error
    return MappingProxyType(
        {
            key: tuple(sorted(rules, key=lambda rule: rule.valid_from))
            for key, rules in found.items()
        }
    )


def _severities(given: Mapping[str, object]) -> Mapping[str, Severity]:
    severities = {rule.rule_id: rule.severity for rule in RULES.values()}
    for rule_id, name in given.items():
        if rule_id not in RULES or not RULES[rule_id].changeable:
            raise SettingsError(
                f"rules.toml: severity.{rule_id}: no rule whose severity may be changed"
            )
        if name not in _SEVERITIES:
            raise SettingsError(
                f"rules.toml: severity.{rule_id}: must be one of {', '.join(_SEVERITIES)}"
            )
        severities[rule_id] = _SEVERITIES[str(name)]
    return MappingProxyType(severities)


def _texts(thresholds: Thresholds) -> Mapping[str, tuple[str, str]]:
    """Return every rule's texts with the policy's numbers in them."""
    numbers = asdict(thresholds)
    return MappingProxyType(
        {
            rule.rule_id: (rule.english.format_map(numbers), rule.chinese.format_map(numbers))
            for rule in RULES.values()
        }
    )


def _required(path: Path) -> RequiredItems:
    table = read(path)
    kinds = {field.name for field in fields(RequiredItems)}
    wanted = {key: value for key, value in table.items() if key in kinds}
    if set(table) - kinds != {"version", "from"}:
        raise SettingsError(f"{path}: keys must be version, from, {', '.join(sorted(kinds))}")
    required = build(RequiredItems, wanted, f"{path.name}: ")
    for kind in kinds:
        for item in getattr(required, kind):
            if not _is_field(Item.DESCRIPTOR.fields_by_name[kind].message_type, item.split(".")):
                raise SettingsError(f"{path.name}: {kind}.{item}: no field of the contract")
    return required


def _is_field(message: Descriptor | None, names: Sequence[str]) -> bool:
    """Return whether a path of field names leads to a field of this message or of one in it."""
    field = message.fields_by_name.get(names[0]) if message is not None else None
    return field is not None and (len(names) == 1 or _is_field(field.message_type, names[1:]))
