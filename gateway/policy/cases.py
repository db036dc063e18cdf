"""The cases beside the policies (cases/*.toml): what must be allowed or denied, and by what.

`trusted` is how a process gets its engine: a folder whose own cases fail is not used.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from gateway.config import strict
from gateway.policy import bundle, ticket_cases
from gateway.policy.bundle import CASES_FOLDER, BundleError
from gateway.policy.engine import Decision, Engine, Prepared
from gateway.policy.request import Actor, Context, Request, Resource, ResourceKind, Strength
from gateway.policy.ticket_cases import TicketCase


@dataclass(frozen=True, slots=True)
class Organisation:
    """An organisation of the cases' province."""

    code: str
    parent: str = ""


@dataclass(frozen=True, slots=True)
class Case:
    """Who (organisation, roles) asks for what (action, resource, `of` which organisation).

    `ticket` is read where the resource is an ExportTicket.
    """

    name: str
    action: str
    organisation: str
    roles: tuple[str, ...]
    resource: str
    allowed: bool
    policies: tuple[str, ...]
    of: str = ""
    uploaders: tuple[str, ...] = ()
    origin: str = "proven"
    password_current: bool = True
    weak_origin_allowed: bool = False
    system_in_grace: bool = False
    ticket: TicketCase = ticket_cases.USUAL


@dataclass(frozen=True, slots=True)
class Cases:
    """What a file of cases holds; `load` puts all files together."""

    organisation: tuple[Organisation, ...] = ()
    case: tuple[Case, ...] = ()


@dataclass(frozen=True, slots=True)
class Failure:
    """A case that came out otherwise."""

    case: Case
    decision: Decision


def trusted(folder: Path) -> Engine:
    """Return the engine of a folder of policies.

    Raises BundleError when it does not compile or its cases fail.
    """
    engine = Engine(bundle.load(folder))
    failures = failing(engine, load(folder))
    if failures:
        named = ", ".join(failure.case.name for failure in failures)
        msg = f"{folder / CASES_FOLDER}: cases fail: {named}"
        raise BundleError(msg)
    return engine


def load(folder: Path) -> Cases:
    """Return the cases of a folder, of all its files; raises BundleError."""
    return of_files(bundle.files(folder))


def of_files(files: Mapping[str, str]) -> Cases:
    """Return the cases among these files, of all of them; raises BundleError."""
    names = sorted(name for name in files if name.startswith(f"{CASES_FOLDER}/"))
    try:
        read = [_read(name, files[name]) for name in names if name.endswith(".toml")]
    except strict.SettingsError as error:
        raise BundleError(str(error)) from error
    found = Cases(
        tuple(one for each in read for one in each.organisation),
        tuple(one for each in read for one in each.case),
    )
    told = [case.name for case in found.case]
    if not told or len(set(told)) != len(told):
        msg = f"{CASES_FOLDER}: there must be cases, and no two of one name"
        raise BundleError(msg)
    return found


def failing(engine: Engine, cases: Cases) -> list[Failure]:
    """Return the cases that come out otherwise: allowed or not, or by other policies."""
    return list(failures(engine, prepared(engine, cases)))


def prepared(engine: Engine, cases: Cases) -> list[tuple[Case, Prepared]]:
    """Return each case with what it asks, as this engine takes it."""
    return [(case, engine.prepare(question)) for case, question in asked(cases)]


def asked(cases: Cases) -> list[tuple[Case, Request]]:
    """Return each case with what it asks."""
    parents = {one.code: one.parent for one in cases.organisation}
    return [(case, request(case, parents)) for case in cases.case]


def failures(engine: Engine, asked: Iterable[tuple[Case, Prepared]]) -> Iterator[Failure]:
    """Yield the cases that come out otherwise, each as soon as it is found."""
    for case, question in asked:
        decision = engine.judge_prepared(question)
        if (decision.allowed, decision.policies) != (case.allowed, tuple(sorted(case.policies))):
            yield Failure(case, decision)


def request(case: Case, parents: Mapping[str, str]) -> Request:
    """Return what a case asks; `parents` are the cases' organisations ("" above the first).

    The schema judges the words.
    """
    kind: ResourceKind = case.resource  # type: ignore[assignment] # the schema denies others
    origin: Strength = case.origin  # type: ignore[assignment] # all but "proven" is weak
    chain = _chain(case.of, parents)
    unit = f"{case.of[:6]}0001" if case.resource == "UnitRecords" else ""
    actor = Actor(
        case.organisation, _chain(case.organisation, parents), frozenset(case.roles), origin
    )
    about, calling = None, None
    if kind == "ExportTicket":
        province = next((code for code, above in parents.items() if not above), "")
        about = ticket_cases.ticket(case.ticket, province, parents)
        calling = ticket_cases.calling(case.ticket)
    resource = Resource(kind, chain, unit, frozenset(case.uploaders), about)
    context = Context(
        case.password_current, case.weak_origin_allowed, case.system_in_grace, calling
    )
    return Request(case.action, actor, resource, context)


def _read(name: str, text: str) -> Cases:
    where = name.rpartition("/")[2]
    return strict.build(Cases, strict.parse(text, where), f"{where}: ")


def _chain(code: str, parents: Mapping[str, str]) -> tuple[str, ...]:
    chain: list[str] = []
    while code in parents and code not in chain:
        chain.append(code)
        code = parents[code]
    return tuple(chain)
