"""Recipients come and go by leaves; the log has the last word on who they are."""

# ruff: noqa: F811  fixtures
import pyrage

from gateway.backups import line as lines
from gateway.backups import recipients, sealing
from gateway.backups.making import Source
from gateway.store import wal
from tests.backups.stand import IDENTITY, RECIPIENT, Stand, code
from tests.backups.test_shipping import folder, grow, places, turn  # noqa: F401  fixtures


def in_force(stand: Stand) -> list[str]:
    async def work(source: Source) -> list[str]:
        async with source.database.transaction() as tx:
            return list(await recipients.trusted(tx))

    return stand.run(work)


def test_one_is_added_and_removed_by_a_leaf_each(stand: Stand) -> None:
    _, other = recipients.new()
    before = len(stand.leaves("backup.recipient"))
    stand.add("safe-2", other)
    assert in_force(stand) == [RECIPIENT, other]
    stand.remove("safe-2")
    assert in_force(stand) == [RECIPIENT]
    told = stand.leaves("backup.recipient")[before:]
    assert [(one["decision"], one["detail"]["step"]) for one in told] == [
        ("allow", "add"),
        ("allow", "remove"),
    ]
    assert len({one["detail"]["digest"] for one in told}) == 1
    stand.add("safe-2", other)  # and comes again, a generation later
    stand.remove("safe-2")
    rows = stand.sql("SELECT generation FROM gateway.secret WHERE name = 'safe-2' ORDER BY 1")
    assert rows == [(1,), (2,)]


def test_a_row_that_the_database_lost_stops_too(stand: Stand) -> None:
    """Attack: a recipient is taken away behind the log's back, so that nobody in the safe can read the next backup."""
    which = "WHERE name = 'safe-1' AND generation = %s"
    [(newest,)] = stand.sql("SELECT max(generation) FROM gateway.secret WHERE name = 'safe-1'")
    stand.sql(f"UPDATE gateway.secret SET ended_us = 1 {which}", newest)
    assert code(lambda: in_force(stand)) == "BACKUP_RECIPIENT_STRANGE"
    stand.sql(f"UPDATE gateway.secret SET ended_us = NULL {which}", newest)
    assert in_force(stand) == [RECIPIENT]


def test_names_and_keys_have_their_form_and_are_there_once(stand: Stand) -> None:
    _, other = recipients.new()

    async def tried(source: Source, name: str, key: str) -> None:
        async with source.database.transaction() as tx:
            await recipients.add(tx, name, key, 1)

    async def removed(source: Source) -> None:
        async with source.database.transaction() as tx:
            await recipients.remove(tx, "nobody", 1)

    refused = {
        ("safe-1", other): "ALREADY_EXISTS",
        ("safe-3", RECIPIENT): "ALREADY_EXISTS",
        ("safe-3", "age1x"): "FIELD_INVALID",
        ("Safe 3", other): "FIELD_INVALID",
    }
    for words, reason in refused.items():
        assert code(lambda w=words: stand.run(lambda source: tried(source, *w))) == reason
    assert code(lambda: stand.run(removed)) == "NOT_FOUND"


def test_what_is_sent_after_a_recipient_went_does_not_open_with_his_key(
    stand: Stand, places
) -> None:
    """An old backup with its journal to the end needs the key of one who was in force all along."""
    key, public = recipients.new()
    theirs = pyrage.x25519.Identity.from_str(key)
    stand.add("safe-9", public)
    try:
        turn(stand, places)
        grow(stand)
        turn(stand, places)
    finally:
        stand.remove("safe-9")
    grow(stand)
    turn(stand, places)
    line = lines.read_line(folder(places[0]), stand.keys)
    before = wal.segment_name(1, wal.segment_number(line.segment) - 1)
    first, *_, last = [one for one in lines.chain(folder(places[0]), line, before) if one.whole]
    for one, opens in ((first, ""), (last, "BACKUP_KEY_WRONG")):
        sealed = lines.require(folder(places[0]), one)
        assert code(lambda sealed=sealed: sealing.unseal(sealed, theirs, len)) == opens
        assert code(lambda sealed=sealed: sealing.unseal(sealed, IDENTITY, len)) == ""
