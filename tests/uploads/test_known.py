"""What is read beside a batch, and how a batch's own records join it."""

from collections.abc import Callable

from gateway.records import card, dose
from gateway.records.desk import Desk
from gateway.uploads.known import Known, load
from gateway.uploads.received import prepare
from tests.records.office import desk
from tests.records.test_child import number
from tests.records.test_merge import a_merge
from tests.records.test_stock import a_movement
from tests.uploads.county import County, a_child, a_dose, county, run


def key(record, index=0):
    return dose.key_of(dose.read(record), desk(), index)


async def beside(one: County, *records) -> Known:
    """Return what is known beside a batch of these records."""
    batch = one.batch(*records)
    raw = batch.SerializeToString()
    place = Desk(one.tables, one.register, one.index, one.organisation, one.stage.clock.us)
    prepared = prepare(raw, batch, place, one.intake._keys)
    async with one.stage.database.transaction() as tx:
        return await load(tx, prepared)


def test_only_what_bears_on_the_batch_is_read(conninfo: Callable[[str], str]) -> None:
    """The same for a batch of one item, whose statement has values in place of arrays."""

    async def play() -> None:
        async with county(conninfo) as one:
            mine = {"document": 1, "document_number": number()}
            doses = [a_dose(a_child(n)) for n in (1, 2, 3)]
            waiting = a_dose(a_child(7))
            await one.upload(
                a_child(1, **mine), a_child(2), a_child(3), a_movement(), *doses, waiting
            )
            tags = [one.tag(a_child(n)) for n in range(8)]
            for more in ([], [a_dose(a_child(2)), a_child(2)]):
                known = await beside(one, a_dose(a_child(1)), *more)
                assert set(known.cards) == {tags[1]} | ({tags[2]} if more else set())
                assert set(known.doses) == set(known.cards)
                assert known.records == known.held == {}
                assert list(known.sequences.values()) == [1]
                again = await beside(one, doses[0], *more)
                assert len(again.records) == 1
                cards = await beside(one, a_child(7, **mine), *more)
                assert [one.dose.child_tag for one in cards.waiting] == [tags[7]]
                assert list(cards.owners.values()) == [tags[1]]
                document = await beside(one, a_movement(), *more)
                assert len(document.documents) == 1
                held = await beside(one, waiting, *more)
                assert list(held.held.values()) == [[(1, 7)]]
            await one.upload(a_merge(retired_child_codes=[a_child(3).child_code]))
            assert (await beside(one, a_dose(a_child(3)))).retired == {tags[3]}
            both = await beside(one, a_merge())
            assert set(both.cards) == {tags[1], tags[2]}

    run(play())


def test_nothing_to_ask_for_asks_for_the_sequence_alone(conninfo: Callable[[str], str]) -> None:
    async def play() -> None:
        async with county(conninfo) as one:
            assert await beside(one, a_dose("1", record_id="x")) == Known()

    run(play())


def test_a_taken_dose_is_there_for_the_next() -> None:
    known = Known()
    first, second = key(a_dose(a_child())), key(a_dose(a_child(), number=2))
    known.take_dose(first)
    assert list(known.others(second)) == [first]
    assert list(known.others(first)) == []
    assert list(known.taken.doses.values()) == [first]


def test_a_correction_takes_the_place_of_what_it_corrects() -> None:
    stored = key(a_dose(a_child()))._replace(batch_id=5)
    known = Known()
    known.records[stored.record_id, stored.unit_code] = stored
    known.doses[stored.child_tag].append(stored)
    corrected = stored._replace(dose_number=2, revision=1, batch_id=-1)
    known.take_dose(corrected)
    again = corrected._replace(revision=2)
    known.take_dose(again)
    assert list(known.taken.corrections.values()) == [again]
    assert known.taken.doses == {}
    assert [(e.revision, e.batch_id) for e in known.taken.earlier] == [(0, 5), (1, -1)]
    assert list(known.others(key(a_dose(a_child())))) == [again]


def test_a_taken_card_owns_its_numbers() -> None:
    known = Known()
    taken = card.key_of(card.read(a_child(birth_certificate_number="V140000001")), desk(), 0)
    assert taken is not None
    known.take_card(taken)
    assert known.owners == {taken.identities[0]: taken.child.child_tag}
    assert known.taken.earlier == []
    known.take_card(taken)
    assert len(known.taken.earlier) == 1
