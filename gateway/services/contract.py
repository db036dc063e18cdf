"""Which services stand at which door, and so which rpcs (contract.md, "Doors and services")."""

from collections.abc import Mapping

from google.protobuf.descriptor import ServiceDescriptor

from gateway.config.home import Listener
from gateway.services import access
from gateway.services.access import Rpc
from gateway.services.health import CHECK
from gateway.v1 import (
    admin_service_pb2,
    audit_service_pb2,
    break_glass_service_pb2,
    enrolment_service_pb2,
    export_service_pb2,
    identity_service_pb2,
    upload_service_pb2,
)

SERVICES: Mapping[Listener, tuple[ServiceDescriptor, ...]] = {
    "identity": (
        identity_service_pb2.DESCRIPTOR.services_by_name["IdentityService"],
        break_glass_service_pb2.DESCRIPTOR.services_by_name["BreakGlassService"],
    ),
    # In the identity process, on a socket of its own that leads to nothing else: no health check.
    "enrolment": (enrolment_service_pb2.DESCRIPTOR.services_by_name["EnrolmentService"],),
    "intake": (upload_service_pb2.DESCRIPTOR.services_by_name["UploadService"],),
    "disclosure": (export_service_pb2.DESCRIPTOR.services_by_name["ExportService"],),
    "administration": (
        admin_service_pb2.DESCRIPTOR.services_by_name["AdminService"],
        audit_service_pb2.DESCRIPTOR.services_by_name["AuditService"],
    ),
}


def rpcs(door: Listener) -> Mapping[str, Rpc]:
    """Return every rpc of a door by wire name, the health check too; raises MissingAccessError."""
    own = access.read(SERVICES[door])
    return own if door == "enrolment" else {**own, CHECK.method: CHECK}
