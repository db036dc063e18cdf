import pytest

from gateway.config.policies import shipped
from gateway.demo import uploading
from gateway.errors import Reason, refuse
from gateway.sample import tables as sample_tables
from gateway.sample.province import Province as Sample
from gateway.sample.province import units_of
from gateway.v1 import upload_service_pb2 as v1


@pytest.fixture(scope="module")
def families():
    tables = sample_tables.load(shipped("policies"))
    return list(Sample(tables, units_of(tables, ("140105",)), seed=5, children=1500).families())


def test_a_late_card_is_in_no_batch_with_its_doses(families):
    late = {family.child.child_code for family in families if family.late}
    assert late
    parts = (uploading.records(families), uploading.late_cards(families))
    sent = [
        v1.UploadBatchesRequest.FromString(one.message)
        for one in uploading.batches("1401050001", *parts)
    ]
    assert [one.sequence for one in sent] == list(range(1, len(sent) + 1))
    for batch in sent:
        cards = {item.child.child_code for item in batch.items if item.HasField("child")}
        doses = {
            item.vaccination.child_code for item in batch.items if item.HasField("vaccination")
        }
        assert not cards & doses & late


def test_every_record_is_sent_once(families):
    parts = (uploading.records(families), uploading.late_cards(families))
    count = sum(one.item_count for one in uploading.batches("1401050001", *parts, items_max=77))
    cards = sum(1 if family.second_card is None else 2 for family in families)
    assert count == cards + sum(len(family.doses) for family in families)


def test_information_is_no_defect():
    told = []
    findings = uploading.Findings(told.append)
    request = v1.UploadBatchesRequest(items=[v1.Item(), v1.Item()])
    request.items[0].child.child_code = "140105000120250001"
    sent = uploading.Sent("id", "1401050001", 1, 2, request.SerializeToString())
    receipt = v1.BatchReceipt(
        items=[
            v1.ItemResult(
                index=0,
                state=v1.ITEM_STATE_QUARANTINED,
                findings=[v1.Finding(rule_id="CH-06", severity=v1.SEVERITY_QUARANTINE)],
            ),
            v1.ItemResult(
                index=1,
                record_id="r",
                state=v1.ITEM_STATE_ACCEPTED,
                findings=[v1.Finding(rule_id="VA-09", severity=v1.SEVERITY_INFO)],
            ),
        ]
    )
    findings.answered(sent, receipt, uploading.Evidence(1, 2, {}))
    findings.refused(sent, refuse(Reason.BATCH_MALFORMED))
    assert findings.pairs == {("140105000120250001", "CH-06")}
    assert findings.states == {"quarantined": 1, "accepted": 1}
    assert [one.reason for one in findings.refusals] == [Reason.BATCH_MALFORMED]
    assert told == [2, 2]
