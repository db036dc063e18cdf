"""What the gateway decides of its own acts: the leaf tells enough to ask it again, and nothing of anybody."""

from gateway.audit.event import Event
from gateway.exports import deciding
from gateway.policy import bundle, facts, ticket_cases
from gateway.policy.engine import Engine
from gateway.policy.ticket_cases import TicketCase
from tests.exports.test_facts import AROUND
from tests.exports.tickets import PLAN, START_US
from tests.policies import SHIPPED

ENGINE = Engine(bundle.of_files(SHIPPED))
PARENTS = {"140000": "", "140100": "140000", "140105": "140100"}


def test_an_act_of_its_own_is_told_with_policies_bundle_and_digest() -> None:
    known = ticket_cases.ticket(TicketCase(state="approved"), "140000", PARENTS)
    found = deciding.judged(ENGINE, deciding.KEEP, PLAN, known, AROUND)
    event = found.told(Event(kind="export.stop", detail={"ticket": "EX-00000001"}), cause="policy")
    assert event.policies == tuple(name.lower() for name in found.decision.policies)
    assert event.bundle == ENGINE.bundle.sha256
    assert event.detail == {
        "ticket": "EX-00000001",
        "cause": "policy",
        "judged_us": START_US,
        "facts_sha256": facts.words(found.request)["facts_sha256"],
    }
    assert len(event.to_leaf(START_US)) < 1000
