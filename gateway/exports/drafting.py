"""What is wrong with a plan before anybody reads it: lists, caps, windows, days. Pure.

Nothing is left out, cut short or set right: a plan that asks for what there is not is refused, so
that no mistake and no trick widens it.
"""

from collections.abc import Container, Iterator
from dataclasses import dataclass
from datetime import timedelta

from gateway.clock import US_PER_S, civil_day
from gateway.config.exports import PlanRules
from gateway.errors import Violation
from gateway.exports.plan import Plan, misshapen
from gateway.policy import fields
from gateway.records.wanted import ORDER_KEY_BYTES, Wanted

_US_PER_DAY = 24 * 3600 * US_PER_S

# The rules of a plan: its field in the request, and the texts.
_RULES = {
    "EX-FORM": ("Not of the form that the contract gives.", "不符合接口约定的格式。"),
    "EX-DIVISION": ("A division that exists today.", "须为现行有效的行政区划。"),
    "EX-TERRITORY": ("A division of your own territory.", "须属于本机构辖区。"),
    "EX-VACCINE": ("A vaccine of the code table.", "须为代码表中的疫苗。"),
    "EX-UNIT": ("A registered unit.", "须为已登记的单位。"),
    "EX-COLUMN": ("A column that may leave.", "须为允许导出的字段。"),
    "EX-MANY": ("More than the policy allows.", "数量超过策略上限。"),
    "EX-FILTER": ("This dataset has no such filter.", "该数据集不支持此筛选条件。"),
    "EX-PURPOSE": ("A purpose of the policy's list.", "须为策略规定的用途。"),
    "EX-BASIS": ("A legal basis of the policy's list.", "须为策略规定的法律依据。"),
    "EX-ROWS": ("At least one row, at most the policy's cap.", "行数至少为 1，且不超过策略上限。"),
    "EX-CHILDREN": (
        "Of children at least one and at most the policy's cap; 0 for what is not about children.",
        "涉及儿童时至少为 1 且不超过策略上限；不涉及儿童时为 0。",
    ),
    "EX-WINDOW": ("Too long, too far ahead, or over.", "时间窗过长、过远或已结束。"),
    "EX-DESTROY": (
        "A day after the window, and no later than the policy keeps.",
        "须晚于时间窗，且不超过策略规定的保留期限。",
    ),
    "EX-RECIPIENT": (
        "An account of an officer with the role recipient.",
        "须为具有接收人角色的人员账号。",
    ),
    "EX-APART": ("Another person than who asks.", "接收人不得为申请人本人。"),
    "EX-CERTIFICATE": (
        "A certificate of the recipient, of its purpose, valid past the window.",
        "须为接收人本人的、用途相符且有效期超过时间窗的证书。",
    ),
    "EX-FORMAT": ("A format that this gateway can write.", "须为本网关支持的文件格式。"),
    "EX-TUNNEL": ("A tunnel that the recipient may come by.", "须为接收人可使用的通道。"),
}
_NOT_FOUND = {
    "connection_certificate_sha256": "EX-CERTIFICATE",
    "encryption_certificate_sha256": "EX-CERTIFICATE",
    "tunnel": "EX-TUNNEL",
}
# Where a field of the plan is called otherwise in the request.
_NAMES = {
    "divisions": "division_codes",
    "units": "unit_codes",
    "born_from": "born_from_date",
    "born_until": "born_until_date",
    "born": "born_from_date",
    "happened_from": "happened_from_date",
    "happened_until": "happened_until_date",
    "happened": "happened_from_date",
    "row_cap": "row_cap_count",
    "child_cap": "child_cap_count",
    "not_after_us": "not_after_time",
    "destroy_by": "destroy_by_date",
    "tunnel": "tunnel_name",
    "recipient": "recipient_account_name",
}


@dataclass(frozen=True, slots=True)
class Known:
    """What a plan may name: divisions of the requester's, vaccines, units."""

    covered: Container[str]
    divisions: Container[str]
    vaccines: Container[str]
    units: Container[str]


def violation(field: str, rule: str) -> Violation:
    """Return that a field of the plan breaks a rule; never with its value."""
    english, chinese = _RULES[rule]
    return Violation(_NAMES.get(field, field), rule, english, chinese)


def faults(plan: Plan, rules: PlanRules, known: Known, now_us: int) -> list[Violation]:
    """Return what is wrong with a plan, nothing where it may be asked for."""
    field = misshapen(plan)
    if field:
        # What was left to us to find (the recipient's own), and is not there.
        rule = "EX-FORM" if getattr(plan, field) else _NOT_FOUND.get(field, "EX-FORM")
        return [violation(field, rule)]
    found = [*_named(plan, known), *_listed(plan, rules), *_timed(plan, rules, now_us)]
    return [violation(field, rule) for field, rule in dict.fromkeys(found)]


def wanted(plan: Plan) -> Wanted:
    """Return what a plan wants, in no particular order: to be counted."""
    return Wanted(
        dataset=plan.dataset,
        divisions=plan.divisions,
        order_key=bytes(ORDER_KEY_BYTES),
        born_from=plan.born_from,
        born_until=plan.born_until,
        happened_from=plan.happened_from,
        happened_until=plan.happened_until,
        vaccine_codes=plan.vaccine_codes,
        units=plan.units,
    )


def _named(plan: Plan, known: Known) -> Iterator[tuple[str, str]]:
    """Yield what the plan names and there is not."""
    for code in plan.divisions:
        if code not in known.divisions:
            yield "divisions", "EX-DIVISION"
        elif code not in known.covered:
            yield "divisions", "EX-TERRITORY"
    if any(code not in known.vaccines for code in plan.vaccine_codes):
        yield "vaccine_codes", "EX-VACCINE"
    if any(code not in known.units for code in plan.units):
        yield "units", "EX-UNIT"
    if not set(plan.columns) <= set(fields.columns(plan.dataset)):
        yield "columns", "EX-COLUMN"
    try:
        wanted(plan)
    except ValueError as error:
        yield str(error), "EX-FILTER"


def _listed(plan: Plan, rules: PlanRules) -> Iterator[tuple[str, str]]:
    """Yield what is beyond the policy's lists and caps."""
    for field in ("divisions", "units", "vaccine_codes", "columns"):
        if len(getattr(plan, field)) > getattr(rules, field):
            yield field, "EX-MANY"
    if plan.purpose not in rules.purposes:
        yield "purpose", "EX-PURPOSE"
    if plan.legal_basis not in rules.legal_bases:
        yield "legal_basis", "EX-BASIS"
    if plan.row_cap > rules.row_cap:
        yield "row_cap", "EX-ROWS"
    individual = plan.dataset in fields.INDIVIDUAL
    if not (0 < plan.child_cap <= rules.child_cap if individual else plan.child_cap == 0):
        yield "child_cap", "EX-CHILDREN"


def _timed(plan: Plan, rules: PlanRules, now_us: int) -> Iterator[tuple[str, str]]:
    """Yield which of the plan's times are too long, too far, or over."""
    good = (
        now_us < plan.not_after_us
        and plan.not_after_us - plan.not_before_us <= rules.window_days * _US_PER_DAY
        and plan.not_before_us <= now_us + rules.ahead_days * _US_PER_DAY
    )
    if not good:
        yield "not_after_us", "EX-WINDOW"
        return
    last = civil_day(plan.not_after_us)
    if not last < plan.destroy_by <= last + timedelta(days=rules.keep_days):
        yield "destroy_by", "EX-DESTROY"
