"""The answer as bytes: what is put behind it makes the same message."""

from collections.abc import Callable

from gateway.uploads.answer import finding_message, with_evidence
from gateway.v1 import upload_service_pb2 as u
from tests.records.office import tables
from tests.uploads.county import a_child, a_dose, county, run


def test_bytes_put_behind_are_the_merged_message() -> None:
    stored = u.BatchReceipt(
        request_id="r", sequence=3, salt=b"s", items=[u.ItemResult(index=0, state=1)]
    )
    whole = u.BatchReceipt()
    whole.CopyFrom(stored)
    whole.leaf, whole.proof = b"leaf", "proof"
    assert (
        u.BatchReceipt.FromString(with_evidence(stored.SerializeToString(), b"leaf", "proof"))
        == whole
    )


def test_a_finding_in_words() -> None:
    found = finding_message("VA-06", "vaccination.vaccinated_date", tables())
    assert (found.rule_id, found.severity, found.field_path) == (
        "VA-06",
        u.SEVERITY_FLAG,
        "vaccination.vaccinated_date",
    )
    assert found.message == tables().texts["VA-06"][0]
    assert found.message_zh == tables().texts["VA-06"][1]


def test_what_is_stored_has_neither_leaf_nor_proof(conninfo: Callable[[str], str]) -> None:
    async def play() -> None:
        async with county(conninfo) as one:
            receipt = await one.upload(a_child(), a_dose("1"))
            ((answer,),) = await one.rows("SELECT answer FROM gateway.batch")
            stored = u.BatchReceipt.FromString(answer)
            assert (stored.leaf, stored.proof) == (b"", "")
            receipt.ClearField("leaf")
            receipt.ClearField("proof")
            assert stored == receipt

    run(play())
