from gateway.client import invitation
from gateway.v1 import certificate_pb2
from tests.cli.small_admin import CODE

WHO = ("--organisation", "140105", "--system", "his")


def test_an_invitation_is_one_line_with_all_that_enrolling_needs(small, told, said):
    shown = told("certificate", "invite", *WHO, "--host", "fd00::1", "--purpose", "encryption")
    found = invitation.parse(shown["invitation"])
    assert (found.host, found.code.value, found.pin) == ("fd00::1", CODE, "cd" * 32)
    assert found.trust_domain == "gateway.test"
    assert found.port == 8448
    [kept] = small.invitations.values()
    assert kept.invitation_id == shown["invitation_id"]
    assert kept.purpose == certificate_pb2.CERTIFICATE_PURPOSE_ENCRYPTION
    assert "gateway://127.0.0.1:8448/" in said("certificate", "invite", *WHO)


def test_a_second_officer_confirms_the_fingerprint_however_it_was_copied(small, told, said):
    made = told("certificate", "invite", *WHO, "--approval")["invitation_id"]
    assert "waits for a second officer" in said("certificate", "invitations")
    assert "等待另一名管理人员确认" in said("certificate", "invitations", lang="zh")
    assert told("certificate", "approve", made, "cd" * 32, status=1)["refused"] == "FIELD_INVALID"
    grouped = ":".join(["ABAB"] * 16)
    assert told("certificate", "approve", made, grouped)["state"] == "STATE_APPROVED"
    assert grouped.lower() in said("certificate", "invitations")
    assert told("certificate", "cancel", made)["state"] == "STATE_CANCELLED"
    shown = told("certificate", "invitations")["invitations"]
    assert [one["state"] for one in shown] == ["STATE_CANCELLED"]
    assert CODE not in str(shown)


def test_one_bearer_and_a_known_purpose_are_named(small, said):
    for words in (
        ("--organisation", "140105"),
        (*WHO, "--officer", "li"),
        (*WHO, "--purpose", "everything"),
    ):
        said("certificate", "invite", *words, status=2)
    assert small.invitations == {}
