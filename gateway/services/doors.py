"""Which services stand at which door (contract.md, "Doors and services"), and the health check at every one."""

from collections.abc import Mapping

from google.protobuf.descriptor import ServiceDescriptor

from gateway.config.home import Door
from gateway.services import access, health
from gateway.v1 import (
    admin_service_pb2,
    audit_service_pb2,
    identity_service_pb2,
    upload_service_pb2,
)

SERVICES: Mapping[Door, tuple[ServiceDescriptor, ...]] = {
    "identity": (identity_service_pb2.DESCRIPTOR.services_by_name["IdentityService"],),
    "intake": (upload_service_pb2.DESCRIPTOR.services_by_name["UploadService"],),
    "disclosure": (),
    "administration": (
        admin_service_pb2.DESCRIPTOR.services_by_name["AdminService"],
        audit_service_pb2.DESCRIPTOR.services_by_name["AuditService"],
    ),
}


def rpcs(door: Door) -> Mapping[str, access.Rpc]:
    """Return every rpc of a door by wire name, the health check included; raises MissingAccessError."""
    return {**access.read(SERVICES[door]), health.CHECK.method: health.CHECK}
