import pytest

from gateway.config.home import LISTENERS
from gateway.services import doors
from gateway.services.guard import Guard


def test_every_rpc_of_a_door_has_one_method(province):
    for door in LISTENERS:
        served = province.world.guard(door)._methods
        assert served.keys() == doors.rpcs(door).keys()
        for rpc, method in served.values():
            assert method.__name__ == rpc.name


def test_health_is_at_every_door():
    for door in doors.SERVICES:
        assert ("/grpc.health.v1.Health/Check" in doors.rpcs(door)) == (door != "enrolment")


def test_where_anybody_may_knock_there_is_one_rpc():
    assert list(doors.rpcs("enrolment")) == ["/gateway.v1.EnrolmentService/Enrol"]


def test_administration_knows_no_individual():
    """No message of the administration door has a field of identified or restricted data but one-time secrets."""
    from gateway.v1 import options_pb2

    found = set()
    for service in doors.SERVICES["administration"]:
        for method in service.methods:
            for message in (method.input_type, method.output_type):
                found |= sensitive(message, options_pb2)
    assert found == {
        "CreateAccountResponse.one_time_password",
        "InviteCertificateResponse.code",
        "ResetPasswordResponse.one_time_password",
    }


def sensitive(message, options, seen=None):
    seen = set() if seen is None else seen
    if message.full_name in seen:
        return set()
    seen.add(message.full_name)
    found = set()
    for field in message.fields:
        level = field.GetOptions().Extensions[options.data_class]
        if level >= options.DATA_CLASS_IDENTIFIED:
            found.add(f"{message.name}.{field.name}")
        if field.message_type is not None:
            found |= sensitive(field.message_type, options, seen)
    return found


def test_an_rpc_without_method_stops_the_start():
    with pytest.raises(ValueError, match="unpack"):
        doors._method(doors.rpcs("intake")["/gateway.v1.UploadService/GetReceipt"], [object()])


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
