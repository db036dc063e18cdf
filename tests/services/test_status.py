import pytest
from google.rpc import error_details_pb2 as details

from gateway.errors import REASONS, Reason, Violation, refuse
from gateway.services.status import (
    STATUS_MAX_BYTES,
    TRAILERS_MAX_BYTES,
    VIOLATIONS_MAX,
    status_of,
    trailers,
)

ID = "0d9f3c0e-7a52-4f0e-9f5e-0d8a3f6c1b2a"
DOMAIN = "gateway.gateway.invalid"
EXTRA = {
    "INVALID_ARGUMENT": set(),
    "NOT_FOUND": {details.ResourceInfo},
    "ALREADY_EXISTS": {details.ResourceInfo},
    "ABORTED": {details.ResourceInfo},
    "FAILED_PRECONDITION": {details.PreconditionFailure},
    "RESOURCE_EXHAUSTED": {details.QuotaFailure, details.RetryInfo},
    "UNAVAILABLE": {details.RetryInfo},
}


def unpacked(status):
    kinds = (
        details.ErrorInfo,
        details.RequestInfo,
        details.LocalizedMessage,
        details.BadRequest,
        details.PreconditionFailure,
        details.QuotaFailure,
        details.RetryInfo,
        details.ResourceInfo,
    )
    found = {}
    for packed in status.details:
        [kind] = [kind for kind in kinds if packed.Is(kind.DESCRIPTOR)]
        assert kind not in found, "each detail type at most once (AIP-193)"
        found[kind] = kind()
        packed.Unpack(found[kind])
    return found


@pytest.mark.parametrize("reason", [reason for reason in Reason if reason is not Reason.INTERNAL])
def test_every_reason_has_a_bilingual_status(reason):
    refusal = refuse(reason)
    status = status_of(refusal, ID, DOMAIN)
    found = unpacked(status)
    assert status.message == REASONS[reason].english
    assert found[details.ErrorInfo].reason == reason.value
    assert found[details.ErrorInfo].domain == DOMAIN
    assert found[details.RequestInfo].request_id == ID
    assert found[details.LocalizedMessage].locale == "zh-CN"
    assert found[details.LocalizedMessage].message == REASONS[reason].chinese
    common = {details.ErrorInfo, details.RequestInfo, details.LocalizedMessage}
    assert found.keys() - common == EXTRA.get(refusal.code, set())
    assert status.ByteSize() < STATUS_MAX_BYTES


def test_internal_says_nothing_but_the_request_id():
    status = status_of(refuse(Reason.INTERNAL, metadata={"where": "secret"}), ID, DOMAIN)
    assert list(unpacked(status)) == [details.RequestInfo]
    assert status.code == 13
    assert "secret" not in str(status)


def test_violations_are_cut_to_what_every_client_takes():
    long = [
        Violation(f"items[{n}]." + "x" * 200, f"EN-{n}", "e" * 500, "中" * 500) for n in range(200)
    ]
    status = status_of(refuse(Reason.FIELD_INVALID, violations=tuple(long)), ID, DOMAIN)
    shown = unpacked(status)[details.BadRequest].field_violations
    assert 1 <= len(shown) < VIOLATIONS_MAX
    assert STATUS_MAX_BYTES - 2500 < status.ByteSize() <= STATUS_MAX_BYTES


def test_at_most_fifty_violations():
    short = tuple(Violation("f", "R", "e", "中") for _ in range(200))
    status = status_of(refuse(Reason.FIELD_INVALID, violations=short), ID, DOMAIN)
    assert len(unpacked(status)[details.BadRequest].field_violations) == VIOLATIONS_MAX
    assert status.ByteSize() <= STATUS_MAX_BYTES


def test_a_violation_carries_rule_and_both_texts():
    refusal = refuse(Reason.FIELD_INVALID, violations=(Violation("a.b", "EN-03", "wrong", "错误"),))
    [shown] = unpacked(status_of(refusal, ID, DOMAIN))[details.BadRequest].field_violations
    assert (shown.field, shown.reason, shown.description) == ("a.b", "EN-03", "wrong")
    assert (shown.localized_message.locale, shown.localized_message.message) == ("zh-CN", "错误")


def test_metadata_keys_and_lengths_are_kept():
    given = {"maxBytes": "4", "Bad Key": "x", "k": "too short", "long": "y" * 999}
    info = unpacked(status_of(refuse(Reason.MESSAGE_TOO_LARGE, metadata=given), ID, DOMAIN))[
        details.ErrorInfo
    ]
    assert set(info.metadata) == {"maxBytes", "long"}
    assert len(info.metadata["long"]) == 200


@pytest.mark.parametrize(("given", "seconds"), [(None, 1.0), (0.25, 0.25), (-1, 0.0), (90, 90.0)])
def test_when_to_try_again(given, seconds):
    found = unpacked(status_of(refuse(Reason.RATE_LIMITED, retry_after_s=given), ID, DOMAIN))
    delay = found[details.RetryInfo].retry_delay
    assert delay.seconds + delay.nanos / 1e9 == seconds


def test_all_trailing_metadata_together():
    """What a Java client counts: names, values in base64, 32 bytes per entry; its limit is 8 KiB."""
    long = tuple(Violation("f" * 200, "R", "e" * 500, "中" * 500) for _ in range(200))
    status = status_of(refuse(Reason.FIELD_INVALID, violations=long), ID, DOMAIN)
    parts = trailers(status, "c" * 1024)
    assert [key for key, _ in parts] == ["gateway-checkpoint-bin", "grpc-status-details-bin"]
    assert (
        sum(len(key) + len(value) for key, value in parts) + len(status.message)
        <= TRAILERS_MAX_BYTES
    )


def test_a_checkpoint_beyond_its_limit_stays_away():
    assert trailers(None, "c" * 1025) == ()
    assert trailers(None, "") == ()
    assert trailers(None, "c") == (("gateway-checkpoint-bin", b"c"),)
