"""What `gateway status` tells of break-glass, from the very tables, at every stage."""

import pytest

from gateway.cli import sealed as told_of
from gateway.cli.output import Output
from gateway.clock import US_PER_S
from gateway.identity import breakglass
from gateway.identity.breakglass import Why
from tests.identity import office as stage
from tests.identity.glass import PROVINCE, sealed, sealed_anew

DAY_S = 86_400


async def told(office):
    async with office.database.transaction() as tx:
        limits, now_us = office.desk.rules.break_glass, office.clock.now_us()
        return await told_of.read(tx, limits, now_us)


def test_every_stage_is_told(conninfo):
    async def scene(office):
        assert await told(office) == {
            "state": "never-sealed",
            "sealed": "",
            "envelopes": 0,
            "codes": 0,
            "drill_days": None,
            "drill_due": True,
        }
        glass = await sealed(office)
        found = await told(office)
        assert (found["state"], found["envelopes"], found["codes"]) == ("sealed", 2, 3)
        opening = await glass.ask()
        assert (await told(office))["state"] == "waiting"
        await glass.confirm(opening, "li")
        await glass.confirm(opening, "sun")
        found = await told(office)
        assert (found["state"], found["envelopes"]) == ("open", 1)
        # No door looked: the clock alone says that it is over.
        office.clock.turn(seconds=3600)
        assert (await told(office))["state"] == "void"
        await sealed_anew(office)
        assert (await told(office))["state"] == "sealed"

    stage.at_the_office(conninfo, scene)


@pytest.mark.parametrize(("seconds", "due"), [(-1, False), (0, True), (1, True)])
def test_a_drill_is_due_a_quarter_after_the_last(conninfo, seconds, due):
    async def scene(office):
        glass = await sealed(office)
        opening = await glass.opened(Why("OPS-3", drill=True))
        async with office.database.transaction() as tx:
            await breakglass.close(office.desk, tx, PROVINCE, opening.id)
        days = office.desk.rules.break_glass.drill_days
        office.clock.turn(seconds=days * DAY_S + seconds)
        found = await told(office)
        assert found["drill_due"] is due
        assert found["drill_days"] == (days * DAY_S + seconds) * US_PER_S // (DAY_S * US_PER_S)

    stage.at_the_office(conninfo, scene)


@pytest.mark.parametrize("lang", ["en", "zh"])
@pytest.mark.parametrize("state", ["never-sealed", "sealed", "waiting", "open", "void"])
def test_people_are_told_in_their_language(state, lang):
    about = {"sealed": "2026-03-02", "envelopes": 1, "codes": 2}
    lines = told_of.lines(
        Output(lang), {"state": state, **about, "drill_days": 100, "drill_due": True}
    )
    text = "\n".join(lines)
    assert "break-glass." not in text
    assert "100" in text
    assert len(lines) == (4 if state == "sealed" else 3)
    whole = {"state": "sealed", **about, "codes": 3, "drill_days": 5, "drill_due": False}
    assert len(told_of.lines(Output(lang), whole)) == 2
