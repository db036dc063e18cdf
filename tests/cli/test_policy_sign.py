"""`gateway policy pending|approve`: the officer reads and signs what is computed from the texts that came."""

from dataclasses import dataclass, field

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from gateway.errors import Reason, refuse
from gateway.policy import activation, bundle
from gateway.v1 import admin_service_pb2 as ad
from tests.cli.small_admin import SmallAdmin, served
from tests.client.renewing_gateway import stamp
from tests.policies import SHIPPED, TIGHTER, changed

SERVICE = "/gateway.v1.AdminService/"


def packed(files, sha256=""):
    found = bundle.of_files(files)
    return ad.PolicyBundle(
        sha256=sha256 or found.sha256,
        files=[ad.PolicyBundle.File(name=name, text=text) for name, text in found.texts.items()],
    )


@dataclass
class SmallPolicies(SmallAdmin):
    """Also: policies in force and one proposal."""

    told_digest: str = ""
    signed: list[ad.ApprovePoliciesRequest] = field(default_factory=list)

    def methods(self):
        return {
            **super().methods(),
            SERVICE + "GetPolicies": (self.get, ad.GetPoliciesRequest),
            SERVICE + "ApprovePolicies": (self.approve_policies, ad.ApprovePoliciesRequest),
        }

    def get(self, _request, token):
        self._check(token)
        waits = ad.PolicyProposal(
            number=7,
            bundle=packed(changed(TIGHTER), self.told_digest),
            propose_time=stamp(0),
            open_time=stamp(0),
            newly_denied=["WhoAmI (3)"],
            replayed_count=9,
            not_replayed_count=1,
        )
        waits.signatures.add(officer_name="song", sign_time=stamp(0))
        return ad.GetPoliciesResponse(
            number=6, active=packed(SHIPPED), activate_time=stamp(0), proposals=[waits]
        )

    def approve_policies(self, request, token):
        self._check(token)
        self.signed.append(request)
        if len(self.signed) > 2:
            raise refuse(Reason.APPROVAL_SAME_PERSON)
        return ad.ApprovePoliciesResponse(active=len(self.signed) == 2)


@pytest.fixture
def small():
    with served(SmallPolicies()) as gateway:
        yield gateway


SHA256_OF = bundle.of_files(changed(TIGHTER)).sha256


def test_what_waits_is_shown_with_every_changed_line(told, said):
    found = told("policy", "pending")
    assert (found["number"], found["sha256"]) == (6, bundle.of_files(SHIPPED).sha256)
    [one] = found["proposals"]
    assert (one["number"], one["sha256"], one["signed_by"]) == (7, SHA256_OF, ["song"])
    assert any('+@id("F90-quiet")' in line for line in one["changes"])
    text = said("policy", "pending")
    for words in ('+@id("F90-quiet")', "WhoAmI (3)", "Newly denied: 1", "signed by song"):
        assert words in text
    assert "新被拒绝：1" in said("policy", "pending", lang="zh")


def test_the_officer_signs_number_and_digest(small, told, profile):
    assert told("policy", "approve", SHA256_OF) == {"sha256": SHA256_OF, "active": False}
    key = load_pem_private_key((profile / "key.pem").read_bytes(), None)
    statement = activation.statement(7, SHA256_OF)
    key.public_key().verify(small.signed[0].signature, statement, ec.ECDSA(SHA256()))
    assert small.signed[0].sha256 == SHA256_OF
    assert told("policy", "approve", SHA256_OF)["active"]
    assert told("policy", "approve", SHA256_OF, status=1)["refused"] == "APPROVAL_SAME_PERSON"


def test_a_bundle_that_does_not_wait_is_not_signed(small, told):
    assert told("policy", "approve", "00" * 32, status=1)["refused"] == "POLICY_UNKNOWN"
    assert small.signed == []


def test_texts_of_another_digest_are_neither_shown_nor_signed(small, told):
    small.told_digest = "ab" * 32
    for words in (("pending",), ("approve", "ab" * 32), ("approve", SHA256_OF)):
        assert told("policy", *words, status=1)["refused"] == "POLICY_TAMPERED"
    assert small.signed == []
