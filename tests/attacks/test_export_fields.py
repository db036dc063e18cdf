"""Attacks on what a plan names (reference/exports.md section 8, 39 to 41 and 44), through the live disclosure door.

Twice each: the door takes no such plan; and where one came into the store all the same, signed by two, it is not built.
"""

import pytest

from gateway.audit.event import Event
from gateway.v1 import export_service_pb2 as pb
from tests.coverage.rpcs import Watch, refused
from tests.exports.cast import Cast
from tests.exports.planted import plant
from tests.world import PASSWORD, held

ORDINARY = ["child_token", "lot.vaccine_code", "vaccinated_date"]


@pytest.fixture(scope="module")
def province(cluster):
    with held(cluster) as stands:
        cast = stands.run(Cast.open(stands.world))
        yield lambda work: stands.run(work(cast))


@pytest.fixture(autouse=True)
def quiet(capfd):
    yield
    assert PASSWORD not in "".join(capfd.readouterr())


async def caught(cast, **changes):
    """Ask for a plan that must be refused: its reason and one leaf; no ticket, and the next good one is taken."""
    person = cast["lian"]
    await cast.token(person)
    before = cast.world.sql("SELECT count(*) FROM gateway.ticket")
    watch = Watch(cast.world)
    error = await refused(cast.draft(**changes))
    leaf = await watch.only_leaf()
    assert (leaf["decision"], leaf["reason"]) == ("deny", error.reason)
    assert cast.world.sql("SELECT count(*) FROM gateway.ticket") == before
    assert (await cast.draft()).ticket_id
    return error.reason, leaf


async def not_built(cast, **changes):
    """Have a planted ticket looked at by the builder: one leaf of its end, nothing of it is left; the next is built."""
    ticket = plant(cast, 3, **changes)
    [look] = [one for one in cast.world.doors["disclosure"].chores if "Builder" in one.__qualname__]
    watch = Watch(cast.world)
    assert await look(Event(door="disclosure")) == 0
    [leaf] = await watch.leaves()
    assert leaf["kind"] == "export.stop"
    assert leaf["detail"]["ticket"] == ticket.ticket_id
    assert cast.state(ticket) == "revoked"
    assert not list(cast.world.home.exports.glob(f"{ticket.ticket_id}*"))
    plant(cast, 3)
    assert await look(Event(door="disclosure")) == 1
    return leaf


CARDS = {"dataset": pb.EXPORT_DATASET_CHILDREN}


@pytest.mark.parametrize(
    ("changes", "policy"),
    [
        ({**CARDS, "columns": ["child_token", "name"]}, "f25-names"),
        ({"columns": [*ORDINARY, "child_code"]}, "f26-identifiers"),
        ({"columns": [*ORDINARY, "trace.nmpa_code"]}, "f26-identifiers"),
        ({**CARDS, "columns": ["document_number"]}, "f26-identifiers"),
    ],
)
def test_039_041_a_class_above_what_the_purpose_allows(province, changes, policy):
    """Names and identity numbers in a survey: refused when asked for, and again when built."""

    async def work(cast):
        reason, leaf = await caught(cast, **changes)
        assert reason == "POLICY_DENIED"
        assert policy in leaf["policies"]
        assert policy in (await not_built(cast, **changes))["policies"]

    province(work)


@pytest.mark.parametrize(
    "column",
    [
        "dose_amount",
        "correction_reason",
        "no_scan_reason",
        "entered_time",
        "lot",
        "name",
        "Lot.vaccine_code",
    ],
)
def test_040_044_a_column_that_may_not_leave(province, column):
    """Free text, a field that says never, a message, another record's field: no plan names it."""

    async def work(cast):
        reason, _ = await caught(cast, columns=[*ORDINARY, column])
        assert reason == "FIELD_INVALID"

    province(work)
