"""grpc.health.v1 at every door: Check only; Watch is an unknown method like any other.

The messages are built here from the published health.proto (grpc/grpc-proto,
grpc/health/v1/health.proto): one string in, one enum out; a file of its own in the contract would
be a second copy of a foreign package.
"""
# ruff: noqa: N802 -- methods have the names of the contract's rpcs

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import Message

from gateway.errors import Reason, refuse
from gateway.services.access import Access, Rpc
from gateway.services.call import Call

_SERVING = 1
_FIELD = descriptor_pb2.FieldDescriptorProto


def _messages() -> tuple[type[Message], type[Message]]:
    file = descriptor_pb2.FileDescriptorProto(
        name="grpc/health/v1/health.proto", package="grpc.health.v1", syntax="proto3"
    )
    request = file.message_type.add(name="HealthCheckRequest")
    request.field.add(
        name="service", number=1, type=_FIELD.TYPE_STRING, label=_FIELD.LABEL_OPTIONAL
    )
    response = file.message_type.add(name="HealthCheckResponse")
    status = response.enum_type.add(name="ServingStatus")
    for number, name in enumerate(("UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN")):
        status.value.add(name=name, number=number)
    response.field.add(
        name="status",
        number=1,
        type=_FIELD.TYPE_ENUM,
        label=_FIELD.LABEL_OPTIONAL,
        type_name=".grpc.health.v1.HealthCheckResponse.ServingStatus",
    )
    pool = (
        descriptor_pool.DescriptorPool()
    )  # our own: a client in the same process may load the real file
    pool.Add(file)
    return (
        message_factory.GetMessageClass(
            pool.FindMessageTypeByName("grpc.health.v1.HealthCheckRequest")
        ),
        message_factory.GetMessageClass(
            pool.FindMessageTypeByName("grpc.health.v1.HealthCheckResponse")
        ),
    )


HealthCheckRequest, HealthCheckResponse = _messages()

# The constant table of what the health service demands: a certificate, no token.
CHECK = Rpc(
    method="/grpc.health.v1.Health/Check",
    service="grpc.health.v1.Health",
    name="Check",
    request=HealthCheckRequest,
    access=Access(
        roles=frozenset(),
        needs_token=False,
        kind="health.check",
        max_bytes=1024,
        password_expired_allowed=True,
    ),
    streaming=False,
)


class HealthService:
    """Answers SERVING for the door as a whole and for the services that stand here.

    A call that arrives was let in.
    """

    def __init__(self, services: frozenset[str]) -> None:
        """Know the full names of this door's services."""
        self._services = services | {"", CHECK.service}

    async def Check(self, call: Call, request: Message) -> Message:
        """Answer SERVING; raises NOT_FOUND for a service that does not stand at this door."""
        del call
        if request.service not in self._services:  # type: ignore[attr-defined] # built from a descriptor
            raise refuse(Reason.NOT_FOUND)
        return HealthCheckResponse(status=_SERVING)
