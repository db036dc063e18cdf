import asyncio
import uuid

from gateway.cli.paging import document, documents, every, new_id
from gateway.v1 import upload_service_pb2 as up


def test_every_page_is_asked_for_with_the_token_of_the_one_before():
    asked = []

    async def ask(token):
        asked.append(token)
        items = [up.QuarantinedItem(record_id=f"r{len(asked)}")]
        return up.ListQuarantineResponse(
            items=items, next_page_token="next" if len(asked) < 3 else ""
        )

    found = asyncio.run(every(ask, lambda answer: answer.items))
    assert [item.record_id for item in found] == ["r1", "r2", "r3"]
    assert asked == ["", "next", "next"]


def test_messages_are_shown_with_the_contracts_names():
    item = up.QuarantinedItem(record_id="r", unit_code="1401050003")
    assert document(item) == {"record_id": "r", "unit_code": "1401050003"}
    assert documents([item]) == [document(item)]


def test_ids_are_uuids_of_their_own():
    assert uuid.UUID(new_id()).version == 4
    assert new_id() != new_id()
