"""Past decisions are asked again only where the rebuilt request comes to exactly what was recorded."""

from dataclasses import replace

import pytest

from gateway.policy import bundle, cases, replay, ticket_cases
from gateway.policy.engine import Engine
from gateway.policy.replay import NO_BUNDLE, NOT_REPRODUCED, ON_TICKETS, Recorded, Register, Replay
from gateway.policy.request import Actor, Context, Request, Resource
from gateway.policy.ticket_cases import TicketCase
from tests.policies import CEDAR, LOOSER, SHIPPED, TIGHTER, changed

OLD = Engine(bundle.of_files(SHIPPED))
CHAINS = {
    "140000": ("140000",),
    "140100": ("140100", "140000"),
    "140105": ("140105", "140100", "140000"),
}
PARENTS = {"140000": "", "140100": "140000", "140105": "140100"}
ROLES = {
    ("140105", "uploader"): {"uploader"},
    ("140000", "admin"): {"admin"},
    ("140000", "auditor"): {"auditor"},
}
REGISTER = Register(
    chain=lambda code: CHAINS.get(code, ()),
    roles=lambda organisation, name: frozenset(ROLES.get((organisation, name), ())),
    unit=lambda code: Resource("UnitRecords", CHAINS["140105"], code),
    province="140000",
    weak_origin_allowed=False,
)
WHOAMI = Recorded(
    *("WhoAmI", "140105", "uploader", "proven", "", ""),
    *(True, ("p13-own-session",), OLD.bundle.sha256),
)
UPLOAD = replace(WHOAMI, action="UploadBatches", unit="1401050001", policies=("p01-upload",))
LIST = replace(
    WHOAMI,
    action="ListOrganisations",
    allowed=False,
    policies=("default-deny",),
)


def asked(new: str, *recorded: Recorded) -> replay.Difference:
    asking = Replay({OLD.bundle.sha256: OLD}, Engine(bundle.of_files(changed(new))), REGISTER)
    for one in recorded:
        asking.take(one, 2)
    return asking.difference


def test_what_is_newly_denied_and_newly_allowed() -> None:
    found = asked(TIGHTER + LOOSER, WHOAMI, UPLOAD, LIST)
    assert (found.replayed, found.not_replayed) == (6, {})
    assert found.newly_denied == {
        "WhoAmI by uploader of 140105 on Session 140105: F90-quiet": 2,
    }
    assert found.newly_allowed == {
        "ListOrganisations by uploader of 140105 on Register 140105: P90-open": 2,
    }
    assert found.lines({"a": 1, "b": 3}) == ("b (3)", "a (1)")


@pytest.mark.parametrize(
    "recorded",
    [
        WHOAMI,
        UPLOAD,
        LIST,
        replace(UPLOAD, strength="weak", allowed=False, policies=("f02-origin",)),
        replace(UPLOAD, allowed=False, policies=("f01-password",)),
        replace(WHOAMI, action="GetCheckpoint", policies=("p12-checkpoints",)),
        replace(WHOAMI, action="GetReceipt", policies=("p03-evidence",)),
        Recorded(
            *("SearchLeaves", "140000", "auditor", "proven", "", "140105"),
            *(True, ("p11-audit",), OLD.bundle.sha256),
        ),
        Recorded(
            *("CreateAccount", "140000", "admin", "proven", "", "140105"),
            *(True, ("p10-administer",), OLD.bundle.sha256),
        ),
        # A session of break-glass: no account has its role.
        Recorded(
            *("UnlockAccount", "140000", "admin", "proven", "", "140105"),
            *(True, ("p15-break-glass",), OLD.bundle.sha256),
        ),
    ],
)
def test_what_can_be_rebuilt(recorded: Recorded) -> None:
    found = asked("", recorded)
    assert (found.replayed, found.not_replayed) == (2, {})
    assert not found.newly_allowed
    assert not found.newly_denied


@pytest.mark.parametrize(
    ("recorded", "why"),
    [
        (replace(WHOAMI, bundle="00" * 32), NO_BUNDLE),
        (replace(WHOAMI, action="DownloadExport"), ON_TICKETS),
        (replace(WHOAMI, action="AttestDestruction"), ON_TICKETS),
        (replace(WHOAMI, action="export.stop"), ON_TICKETS),
        # Its leaf names what was asked, but that was not found again.
        (replace(WHOAMI, action="DownloadExport", facts_sha256="aa" * 32), NOT_REPRODUCED),
        # The account has other roles today, so nothing is guessed.
        (replace(WHOAMI, action="SearchLeaves", policies=("p11-audit",)), NOT_REPRODUCED),
        (replace(WHOAMI, policies=("p01-upload",)), NOT_REPRODUCED),
        (replace(WHOAMI, action="Forgotten"), NOT_REPRODUCED),
    ],
)
def test_what_cannot_be_rebuilt_is_counted(recorded: Recorded, why: str) -> None:
    found = asked(TIGHTER, recorded)
    assert (found.replayed, found.not_replayed) == (0, {why: 2})
    assert not found.newly_denied


def test_a_case_that_only_kept_its_name_hides_no_other() -> None:
    """And one that asks the same under the same name is asked once."""
    first, second = (question for _, question in cases.asked(cases.load(CEDAR))[:2])
    assert replay.questions([("a", first)], [("a", first)]) == [("a", first)]
    asked_of = replay.questions([("a", first)], [("a", second)])
    assert asked_of == [("a", first), ("a (new)", second)]


def test_cases_are_compared_too() -> None:
    new = Engine(bundle.of_files(changed(LOOSER)))
    judged = [(case.name, question) for case, question in cases.asked(cases.load(CEDAR))]
    found = replay.compare(OLD, new, judged)
    assert "case: auditor: ListOrganisations" in found.newly_allowed or found.newly_allowed
    assert not found.newly_denied
    assert all(what.startswith("case: ") for what in found.newly_allowed)
    assert replay.compare(OLD, OLD, judged) == replay.Difference()


RELEASE = Request(
    "ReleaseExport",
    Actor("140105", CHAINS["140105"], frozenset({"recipient"}), "proven"),
    Resource(
        "ExportTicket",
        CHAINS["140105"],
        ticket=ticket_cases.ticket(TicketCase(state="received"), "140000", PARENTS),
    ),
    Context(True, False, calling=ticket_cases.calling(TicketCase(tunnel="another"))),
)
REFUSED = Recorded(
    *("ReleaseExport", "140105", "wang", "proven", "", ""),
    *(False, ("f33-recipient-bound",), OLD.bundle.sha256, "aa" * 32),
)


def without(policy: str) -> dict[str, str]:
    """The shipped files without a policy of the exports' floor."""
    text = SHIPPED["05-exports-floor.cedar"]
    start = text.index(f'@id("{policy}")')
    return {
        **SHIPPED,
        "05-exports-floor.cedar": text[:start] + text[text.index("@id", start + 1) :],
    }


def test_a_ticket_refused_by_a_condition_that_is_dropped_is_newly_allowed() -> None:
    new = Engine(bundle.of_files(without("F33-recipient-bound")))
    asking = Replay({OLD.bundle.sha256: OLD}, new, REGISTER)
    asking.take(REFUSED, 1, RELEASE)
    assert asking.difference.newly_allowed == {
        "ReleaseExport by recipient of 140105 on ExportTicket EX-00000001: P26-release": 1
    }
    # The machine refused it with a reason of its own: what the policy said counts.
    asking.take(replace(REFUSED, allowed=True), 1, RELEASE)
    assert asking.difference.replayed == 2
    # Other policies decided than the leaf says: that is not what was asked.
    asking.take(replace(REFUSED, policies=("f20-four-eyes",)), 1, RELEASE)
    assert asking.difference.not_replayed == {NOT_REPRODUCED: 1}
