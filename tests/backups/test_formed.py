"""What backups of another's server hold is what the log told last; that a right went is an alert."""

from gateway.backups import formed
from tests.backups.stand import Stand


def told(stand: Stand) -> str:
    async def work(source):
        async with source.database.transaction() as tx:
            return await formed.read(tx)

    return stand.run(work)


def test_the_newest_leaf_says_it(stand: Stand) -> None:
    assert told(stand) == ""
    for form, before in (("base", ""), ("dump", "base"), ("base", "dump")):
        one = formed.event(form, before, ("replication", "access")).with_(door="host")
        stand.run(lambda source, one=one: source.recorder.append(one))
        assert told(stand) == form
    details = [one["detail"] for one in stand.leaves(formed.KIND)]
    alert = {"alert": formed.ALERT, "cause": "replication"}
    assert details == [{"step": "base"}, {"step": "dump", **alert}, {"step": "base"}]
    decisions = [one["decision"] for one in stand.leaves(formed.KIND)]
    assert decisions == ["allow", "error", "allow"]


def test_what_policy_wants_or_was_so_from_the_beginning_is_no_alert() -> None:
    for before, lacking in (("", ("replication",)), ("base", ())):
        assert formed.event("dump", before, lacking).decision == "allow"
