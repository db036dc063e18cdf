"""The envelope of a batch.

What refuses it as a whole before anything of it is looked at (EN-01, EN-03, EN-06 to EN-08, EN-10).
"""

from uuid import UUID

from google.protobuf.unknown_fields import UnknownFieldSet

from gateway.clock import US_PER_S
from gateway.errors import Reason, Violation, refuse
from gateway.records.desk import SECONDS_PER_DAY, Desk
from gateway.records.form import text_is_fit
from gateway.records.ids import record_id_bytes
from gateway.records.rulebook import RULES
from gateway.v1.upload_service_pb2 import UploadBatchesRequest as Batch

# A bigint of the store.
_MOST_SEQUENCE = 2**63 - 1
_LONGEST_CLIENT_VERSION = 100
_LANES = frozenset({Batch.LANE_LIVE, Batch.LANE_BACKFILL})
_UUID_LENGTH = 36


def check(batch: Batch, raw: bytes, desk: Desk) -> UUID:
    """Return the batch's request id.

    Or raise BATCH_MALFORMED with every rule that its envelope breaks.
    """
    limits = desk.tables.thresholds
    request_id = _request_id(batch.request_id)
    wrong = (
        ("EN-10", "request_id", request_id is None),
        ("EN-03", "unit_code", not desk.in_scope(batch.unit_code)),
        ("EN-10", "sequence", not 0 < batch.sequence <= _MOST_SEQUENCE),
        ("EN-01", "schema_version", batch.schema_version not in desk.tables.schema_versions),
        ("EN-09", "client_version", not _is_short_text(batch.client_version)),
        ("EN-07", "made_time", not _made_in_time(batch, desk)),
        ("EN-08", "lane", batch.lane not in _LANES),
        (
            "EN-06",
            "items",
            not 0 < len(batch.items) <= limits.batch_items or len(raw) > limits.batch_bytes,
        ),
    )
    violations = tuple(_violation(rule_id, field) for rule_id, field, is_wrong in wrong if is_wrong)
    if violations or request_id is None:
        raise refuse(Reason.BATCH_MALFORMED, violations=violations)
    return request_id


def refuse_unknown_fields(batch: Batch) -> None:
    """Raise BATCH_MALFORMED when the envelope itself, not an item, holds fields of another version.

    EN-08.
    """
    if len(UnknownFieldSet(batch)) or len(UnknownFieldSet(batch.made_time)):
        raise refuse(Reason.BATCH_MALFORMED, violations=(_violation("EN-08", "batch"),))


def _request_id(text: str) -> UUID | None:
    value = record_id_bytes(text) if len(text) == _UUID_LENGTH else None
    return None if value is None else UUID(bytes=value)


def _is_short_text(text: str) -> bool:
    return len(text) <= _LONGEST_CLIENT_VERSION and text_is_fit(text)


def _made_in_time(batch: Batch, desk: Desk) -> bool:
    """EN-07: the live lane within the skew.

    The backfill lane up to its age, and never in the future beyond the skew.
    """
    made_us = batch.made_time.seconds * US_PER_S + batch.made_time.nanos // 1000
    skew_us = desk.tables.thresholds.live_skew_minutes * 60 * US_PER_S
    age_us = skew_us
    if batch.lane == Batch.LANE_BACKFILL:
        age_us = desk.tables.thresholds.backfill_days * SECONDS_PER_DAY * US_PER_S
    return -skew_us <= desk.now_us - made_us <= age_us


def _violation(rule_id: str, field: str) -> Violation:
    rule = RULES[rule_id]
    return Violation(field, rule_id, rule.english, rule.chinese)
