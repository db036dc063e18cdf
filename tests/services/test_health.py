import asyncio

import pytest

from gateway.errors import NotFoundError
from gateway.services.health import CHECK, HealthCheckRequest, HealthService

# The bytes of the published health.proto's messages.
SERVING = b"\x08\x01"


@pytest.mark.parametrize("service", ["", "gateway.v1.UploadService", "grpc.health.v1.Health"])
def test_serving(service):
    health = HealthService(frozenset({"gateway.v1.UploadService"}))
    request = HealthCheckRequest.FromString(b"\x0a" + bytes([len(service)]) + service.encode())
    assert asyncio.run(health.Check(None, request)).SerializeToString() == SERVING


def test_a_service_of_another_door():
    health = HealthService(frozenset({"gateway.v1.UploadService"}))
    with pytest.raises(NotFoundError):
        asyncio.run(health.Check(None, HealthCheckRequest(service="gateway.v1.AdminService")))


def test_its_access_stands_in_a_table():
    assert CHECK.method == "/grpc.health.v1.Health/Check"
    assert not CHECK.access.needs_token
    assert CHECK.access.kind == "health.check"
