import pytest

from gateway.audit.event import Event
from gateway.errors import InternalError, Reason, Refusal, refuse
from gateway.services.call import on_log
from tests.coverage.rpcs import Watch

EVENT = Event(kind="health.check", door="identity")


def test_an_effect_that_fails_is_on_the_log(province, capsys):
    async def work(world):
        async def effect(tx):
            raise KeyError("王小明 140105202401010011")

        watch = Watch(world)
        with pytest.raises(InternalError) as raised:
            await world.doors["identity"].recorder.append(EVENT, effect)
        assert on_log(raised.value)
        assert (await watch.only_leaf())["reason"] == "INTERNAL"

    province.run(work(province.world))
    said = capsys.readouterr().err
    assert "KeyError" in said
    assert "test_recording.py" in said
    assert "王小明" not in said
    assert "140105202401010011" not in said


def test_a_refusal_passes_as_it_is(province):
    async def work(world):
        async def effect(tx):
            raise refuse(Reason.NOT_FOUND)

        watch = Watch(world)
        with pytest.raises(Refusal) as raised:
            await world.doors["identity"].recorder.append(EVENT, effect)
        leaf = await watch.only_leaf()
        assert raised.value.leaf_index == leaf["index"]
        assert leaf["reason"] == "NOT_FOUND"

    province.run(work(province.world))
