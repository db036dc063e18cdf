"""What an rpc is about; what the policy says of it is in tests/policy and in the services' tests."""

from types import SimpleNamespace

import pytest

from gateway.config.home import DOORS
from gateway.policy.request import Resource
from gateway.registry.organisations import Organisation
from gateway.registry.snapshot import Registry
from gateway.services import contract, permits
from gateway.services.permits import ABOUT, Permits
from gateway.v1 import admin_service_pb2 as admin
from gateway.v1 import audit_service_pb2 as audit
from tests.world import CITY, COUNTY, PROVINCE

REGISTRY = Registry.of(
    [
        Organisation(PROVINCE, "p", 1, None),
        Organisation(CITY, "c", 2, PROVINCE),
        Organisation(COUNTY, "k", 3, CITY),
    ]
)
# What is asked about the ticket, once it is read.
EXPORTS = (
    *("Draft", "Submit", "Withdraw", "Approve", "Deny", "Revoke", "Hold", "Unhold", "Recall"),
    *("Get", "Download", "Receive", "Release", "Acknowledge"),
)
CALLER = SimpleNamespace(organisation=CITY)
CITY_CHAIN = (CITY, PROVINCE)


def test_every_rpc_with_a_token_is_about_something():
    named = {
        rpc.name
        for door in DOORS
        for rpc in contract.rpcs(door).values()
        if rpc.access.needs_token or rpc.access.token_welcome
    }
    # These ask in their methods.
    later = {
        "UploadBatches",
        "GetLeaf",
        "GetSealedPart",
        "ApproveEnrolment",
        "CancelInvitation",
        "RevokeCertificates",
        "AttestDestruction",
    } | {f"{word}Export" for word in EXPORTS}
    assert ABOUT.keys() == named - later


QUESTIONS = [
    ("WhoAmI", None, Resource("Session", CITY_CHAIN)),
    ("GetReceipt", None, Resource("Evidence", CITY_CHAIN)),
    ("GetCheckpoint", None, Resource("Checkpoints")),
    ("ListAccounts", admin.ListAccountsRequest(), Resource("Register", CITY_CHAIN)),
    (
        "ListAccounts",
        admin.ListAccountsRequest(organisation_code=COUNTY),
        Resource("Register", (COUNTY, *CITY_CHAIN)),
    ),
    ("ListUnits", admin.ListUnitsRequest(organisation_code="999999"), Resource("Register", ())),
    ("CreateSystem", admin.CreateSystemRequest(), Resource("Register", ())),
    ("SearchLeaves", audit.SearchLeavesRequest(), Resource("AuditLog", (PROVINCE,))),
    (
        "SearchLeaves",
        audit.SearchLeavesRequest(organisation_code=COUNTY),
        Resource("AuditLog", (COUNTY, *CITY_CHAIN)),
    ),
    (
        "SearchLeaves",
        audit.SearchLeavesRequest(organisation_code="x"),
        Resource("AuditLog", ()),
    ),
]


@pytest.mark.parametrize("number", range(len(QUESTIONS)))
def test_what_an_rpc_is_about(number):
    name, request_, expected = QUESTIONS[number]
    assert [*ABOUT[name](CALLER, request_, REGISTRY)] == [expected]


def test_without_a_province_nobody_sees_the_whole_log():
    assert permits.audit_log("", Registry.of([])) == Resource("AuditLog", ())


def test_nothing_asked_is_nothing_allowed():
    """A request about no resource at all would be allowed by every one of them."""
    noted = {}
    call = SimpleNamespace(
        action="CreateSystem",
        caller=SimpleNamespace(
            organisation=CITY,
            roles=frozenset({"admin"}),
            origin=SimpleNamespace(strength="weak"),
            password_state=SimpleNamespace(restricted=False),
            system_in_grace=False,
        ),
        note=lambda **fields: noted.update(fields),
        permitted=False,
    )
    engine = SimpleNamespace(bundle=SimpleNamespace(sha256="00" * 32))
    with pytest.raises(Exception, match="POLICY_DENIED"):
        Permits(lambda: engine, weak_origin_allowed=True).require(call, [], REGISTRY)
    assert not call.permitted
