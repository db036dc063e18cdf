import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from google.rpc import error_details_pb2, status_pb2

from gateway.client.refusals import outcome_unknown, refusal_of
from gateway.errors import Reason

UNAVAILABLE = grpc.StatusCode.UNAVAILABLE


def trailers(*details):
    status = status_pb2.Status(code=3, message="m")
    for detail in details:
        status.details.add().Pack(detail)
    return {"grpc-status-details-bin": status.SerializeToString()}


def info(reason="PASSWORD_WEAK", domain="gateway.test"):
    return error_details_pb2.ErrorInfo(reason=reason, domain=domain, metadata={"least": "8"})


def test_the_gateways_reason_comes_out_of_the_status():
    violation = error_details_pb2.BadRequest.FieldViolation(
        field="new_password",
        reason="LENGTH",
        description="Too short.",
        localized_message=error_details_pb2.LocalizedMessage(locale="zh-CN", message="太短。"),
    )
    refusal = refusal_of(
        grpc.StatusCode.INVALID_ARGUMENT,
        "",
        trailers(info(), error_details_pb2.BadRequest(field_violations=[violation])),
    )
    assert refusal.reason is Reason.PASSWORD_WEAK
    assert refusal.metadata == {"least": "8"}
    (found,) = refusal.violations
    assert (found.field, found.rule, found.english, found.chinese) == (
        "new_password",
        "LENGTH",
        "Too short.",
        "太短。",
    )
    assert not outcome_unknown(refusal)


def test_the_time_to_wait_is_taken_over():
    retry = error_details_pb2.RetryInfo(retry_delay=Duration(seconds=1, nanos=500_000_000))
    refusal = refusal_of(UNAVAILABLE, "", trailers(info("AUDIT_DEGRADED"), retry))
    assert refusal.retry_after_s == 1.5
    assert outcome_unknown(refusal)


@pytest.mark.parametrize(
    "foreign",
    [
        {},
        {"grpc-status-details-bin": b"\xff\xff"},
        {"grpc-status-details-bin": "text"},
        trailers(info(domain="elsewhere")),
        trailers(info(reason="FROM_THE_FUTURE")),
        trailers(),
    ],
)
def test_a_status_that_is_not_ours_is_judged_by_its_code(foreign):
    assert refusal_of(UNAVAILABLE, "", foreign).reason is Reason.FRONT_AWAY
    assert refusal_of(grpc.StatusCode.UNKNOWN, "", foreign).reason is Reason.INTERNAL


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("SSL routines:OPENSSL_internal:SSLV3_ALERT_CERTIFICATE_EXPIRED", Reason.CERT_EXPIRED),
        ("TLSV1_ALERT_UNKNOWN_CA", Reason.CERT_UNTRUSTED),
        ("CERTIFICATE_VERIFY_FAILED: self signed", Reason.TLS_FAILED),
        ("Socket closed", Reason.FRONT_AWAY),
        (None, Reason.FRONT_AWAY),
    ],
)
def test_a_tls_alert_tells_why_there_is_no_connection(text, reason):
    assert refusal_of(UNAVAILABLE, text, {}).reason is reason
