import pytest

from gateway.config.home import LISTENERS
from gateway.services import contract, doors
from gateway.services.guard import Guard


def test_every_rpc_of_a_door_has_one_method(province):
    for door in LISTENERS:
        served = province.world.guard(door)._methods
        assert served.keys() == contract.rpcs(door).keys()
        for rpc, method in served.values():
            assert method.__name__ == rpc.name


def test_an_rpc_without_method_stops_the_start():
    with pytest.raises(ValueError, match="unpack"):
        doors._method(
            contract.rpcs("intake")["/gateway.v1.UploadService/GetReceipt"], [object()], None
        )


def test_the_guard_is_the_only_handler(province):
    """Nothing is registered beside the guard: every name goes through it."""
    guard = province.world.doors["intake"].guard
    assert isinstance(guard, Guard)

    class Details:
        method = "/anything/at-all"
        invocation_metadata = ()

    handler = guard.service(Details())
    assert handler.request_deserializer is None
    assert handler.response_serializer is None
    assert handler.request_streaming
    assert handler.response_streaming
