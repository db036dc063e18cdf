import pytest

from gateway.audit.event import Event
from gateway.errors import Refusal
from gateway.services import requests
from gateway.services.call import Call
from gateway.v1.admin_service_pb2 import CreateSystemRequest
from gateway.v1.audit_service_pb2 import SearchLeavesRequest
from gateway.v1.identity_service_pb2 import LoginRequest

ID = "0d9f3c0e-7a52-4f0e-9f5e-0d8a3f6c1b2a"


def a_call():
    return Call(None, Event(kind="x"), None)


@pytest.mark.parametrize("raw", [b"\x0a\xff", b"\x0a\x02\xff\xff", b"\xff" * 20, b"\x0b"])
def test_malformed(raw):
    with pytest.raises(Refusal) as raised:
        requests.parse(LoginRequest, raw)
    assert raised.value.reason == "MESSAGE_MALFORMED"
    assert raised.value.__cause__ is None


def test_parsed():
    assert requests.parse(LoginRequest, b"\x0a\x01x").account_name == "x"
    assert requests.parse(LoginRequest, b"") == LoginRequest()


def test_the_callers_request_id_is_the_leafs():
    call = a_call()
    requests.identify(call, CreateSystemRequest(request_id=ID))
    assert call.request_id == call.event.request_id == ID


@pytest.mark.parametrize(
    "given", ["", "x", ID.upper(), ID + "\n", "{" + ID + "}", ID.replace("-", ""), "王小明"]
)
def test_a_change_needs_a_uuid(given):
    call = a_call()
    own = call.request_id
    with pytest.raises(Refusal) as raised:
        requests.identify(call, CreateSystemRequest(request_id=given))
    assert raised.value.reason == "FIELD_INVALID"
    assert raised.value.violations[0].field == "request_id"
    assert call.request_id == own
    requests.adopt_id(call, given)
    assert call.request_id == own


def test_a_filter_of_that_name_is_no_id_of_the_call():
    call = a_call()
    own = call.request_id
    requests.identify(call, SearchLeavesRequest(request_id="x"))
    requests.identify(call, LoginRequest())
    assert call.request_id == own


def test_a_batchs_id():
    call = a_call()
    requests.adopt_id(call, ID)
    assert call.request_id == call.event.request_id == ID


@pytest.mark.parametrize("reason", ["", " ", "x" * 201])
def test_a_reason_is_asked_for(reason):
    with pytest.raises(Refusal) as raised:
        requests.require_reason(reason)
    assert raised.value.violations[0].field == "reason"


def test_a_reason():
    requests.require_reason("x" * 200)


@pytest.mark.parametrize("name", ["13800138000", "a-8613800138000.b", "140105202401010011"])
def test_a_persons_number_is_no_name(name):
    with pytest.raises(Refusal) as raised:
        requests.require_impersonal(name, "account_name")
    assert raised.value.violations[0].field == "account_name"


@pytest.mark.parametrize("name", ["county-140105", "1401050001", "138001380001", "a1380013800b"])
def test_a_name_with_a_code(name):
    requests.require_impersonal(name, "system_name")
