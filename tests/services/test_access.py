import pytest
from google.protobuf import descriptor_pb2, descriptor_pool

from gateway.config.home import LISTENERS
from gateway.services import access, contract
from gateway.services.access import MissingAccessError
from gateway.v1 import identity_service_pb2, options_pb2, upload_service_pb2


def service(**given):
    """A service of one rpc, `given` its access; None: without the option."""
    file = descriptor_pb2.FileDescriptorProto(name="x.proto", package="x", syntax="proto3")
    file.message_type.add(name="M")
    one = file.service.add(name="S")
    rpc = one.method.add(name="R", input_type=".x.M", output_type=".x.M")
    streams = given.pop("streams", (False, False))
    rpc.client_streaming, rpc.server_streaming = streams
    if given.pop("has", True):
        option = rpc.options.Extensions[options_pb2.access]
        for name, value in {
            "audit_kind": "x",
            "max_bytes": 1,
            "needs_token": True,
            **given,
        }.items():
            if name == "roles":
                option.roles.extend(value)
            else:
                setattr(option, name, value)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return pool.FindServiceByName("x.S")


@pytest.mark.parametrize(
    ("given", "fault"),
    [
        ({"has": False}, "has no access option"),
        ({"audit_kind": ""}, "must be given"),
        ({"max_bytes": 0}, "must be given"),
        ({"roles": [options_pb2.ROLE_UNSPECIFIED]}, "must be given"),
        ({"roles": [options_pb2.ROLE_ADMIN], "needs_token": False}, "without a token"),
        ({"confirmed_within_s": 300, "needs_token": False}, "without a token"),
        ({"streams": (True, False)}, "streams only what is asked"),
    ],
)
def test_an_rpc_without_usable_access_stops_the_start(given, fault):
    with pytest.raises(MissingAccessError, match=fault) as raised:
        access.read([service(**given)])
    assert "/x.S/R" in str(raised.value)


def test_what_sends_many_replies_to_one_request_is_no_stream_both_ways():
    [rpc] = access.read([service(streams=(False, True))]).values()
    assert (rpc.sending, rpc.streaming) == (True, False)


def test_access_is_read_from_the_contract():
    [login, *_] = access.read(
        [identity_service_pb2.DESCRIPTOR.services_by_name["IdentityService"]]
    ).values()
    assert login.method == "/gateway.v1.IdentityService/Login"
    assert login.request is identity_service_pb2.LoginRequest
    assert not login.access.needs_token
    assert not login.streaming
    uploads = access.read([upload_service_pb2.DESCRIPTOR.services_by_name["UploadService"]])
    batches = uploads["/gateway.v1.UploadService/UploadBatches"]
    assert batches.streaming
    assert batches.access.roles == {"uploader"}
    assert batches.access.max_bytes == 4 * 1024 * 1024


def test_every_rpc_of_the_contract_stands_at_one_door():
    methods = [
        method
        for door in LISTENERS
        for method in contract.rpcs(door)
        if "grpc.health" not in method
    ]
    assert len(methods) == len(set(methods))
    assert len(methods) == 9 + 6 + 1 + 4 + 16 + 25 + 10


def test_a_hard_limit_four_times_the_largest_message():
    """A message over an rpc's own limit reaches the guard, which can tell its sender why it is refused."""
    largest = max(
        rpc.access.max_bytes for door in LISTENERS for rpc in contract.rpcs(door).values()
    )
    from gateway.config import policies

    limits = policies.load_limits(policies.shipped("policies") / "limits.toml")
    assert limits.messages.hard_bytes >= 4 * largest
