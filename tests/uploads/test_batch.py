"""Whole batches through a real database, recorder and signer."""

from collections.abc import Callable

from tests.uploads.county import a_child, a_dose, county, rules, run, states


def test_cards_and_their_doses_in_one_batch_are_taken(conninfo: Callable[[str], str]) -> None:
    async def play() -> None:
        async with county(conninfo) as one:
            child = a_child()
            receipt = await one.upload(a_dose(child), child)
            assert states(receipt) == ["accepted", "accepted"], receipt
            assert await one.rows("SELECT count(*) FROM gateway.dose") == [(1,)]
            again = await one.upload(child)
            assert states(again) == ["duplicate"]
            assert rules(again) == []

    run(play())
