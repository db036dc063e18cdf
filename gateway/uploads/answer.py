"""The answer to a batch.

What is stored of a BatchReceipt at once, and what is put behind it when it is handed out.

Two serialised messages of one type, one after the other, are one message with the fields of both:
so the stored bytes are never
taken apart again. Stored: request id, sequence, results, salt. Put behind: the leaf as it stands in
the log, and a proof.
"""

from gateway.records.rulebook import RULES
from gateway.records.tables import Tables
from gateway.uploads.received import Prepared
from gateway.v1.upload_service_pb2 import BatchReceipt, Finding


def stored_answer(prepared: Prepared) -> bytes:
    """Return the bytes that are stored with the batch."""
    receipt = BatchReceipt(
        request_id=prepared.batch.request_id, sequence=prepared.batch.sequence, salt=prepared.salt
    )
    tables = prepared.desk.tables
    add = receipt.items.add
    for item in prepared.items:
        result = add(index=item.index, record_id=item.record_id, state=item.state)
        for rule_id, path in item.findings:
            result.findings.append(finding_message(rule_id, path, tables))
    return receipt.SerializeToString()


def finding_message(rule_id: str, path: str, tables: Tables) -> Finding:
    """Return a finding with its severity of today's policy and its texts."""
    rule = RULES[rule_id]
    english, chinese = tables.texts[rule_id]
    return Finding(
        rule_id=rule.rule_id,
        severity=int(tables.severities[rule_id]),  # type: ignore[arg-type] # our numbers are the contract's
        field_path=path,
        message=english,
        message_zh=chinese,
    )


def with_evidence(stored: bytes, leaf: bytes, proof: str) -> bytes:
    """Return the serialised BatchReceipt of a stored answer, its leaf and a proof."""
    return stored + BatchReceipt(leaf=leaf, proof=proof).SerializeToString()
