"""One batch of each organisation is proven from the rows and the log alone; another answer, leaf or log is refused."""

from dataclasses import dataclass, replace
from uuid import uuid4

import pytest

from gateway.audit.event import Event
from gateway.backups import receipts
from gateway.backups.errors import BackupError
from gateway.backups.receipts import Sample
from gateway.clock import SYSTEM
from gateway.signer.memory import stored_checkpoint
from gateway.v1.upload_service_pb2 import BatchReceipt
from tests.backups.stand import Stand

ROW = (
    "INSERT INTO gateway.batch (organisation, request_id, digest, unit_code, sequence, received_us, answer)"
    " VALUES (%s, %s, %b, %s, %s, %s, %b)"
)
CITY = (
    "INSERT INTO gateway.organisation (code, name, kind, parent, created_us)"
    " VALUES (%s, 'city', 2, '140000', 1) ON CONFLICT DO NOTHING"
)


@dataclass(frozen=True)
class SentBatch:
    request_id: str
    answer: bytes
    other: bytes


def answer(request_id: str, *states: int, sequence: int = 1) -> bytes:
    receipt = BatchReceipt(request_id=request_id, sequence=sequence, salt=bytes(16))
    for index, state in enumerate(states):
        receipt.items.add(index=index, state=state)
    return receipt.SerializeToString()


def send(stand: Stand, organisation: str = "140000") -> SentBatch:
    """A batch of two, as the intake door commits it: row and leaf in one transaction."""
    name = str(uuid4())
    told = {"organisation": organisation, "request_id": name, "sequence": 1}
    event = Event(kind="upload", counts={"accepted": 1, "flagged": 1}, **told)
    stored = answer(name, 1, 2)

    async def row(tx) -> Event:
        if organisation != "140000":
            await tx.execute(CITY, (organisation,))
        await tx.execute(ROW, (organisation, name, bytes(32), "140105001", 1, 1, stored))
        return event.with_(door="intake")

    stand.run(lambda source: source.recorder.append(event, row))
    return SentBatch(name, stored, answer(name, 1, 1))


def prove(stand: Stand) -> int:
    async def work(source) -> int:
        signed = stored_checkpoint(source.home)
        return await receipts.prove(source.database, signed, stand.keys)

    return stand.run(work)


def test_each_organisation_that_sent_has_one(stand: Stand) -> None:
    send(stand)
    send(stand)
    send(stand, organisation="140200")
    [(senders,)] = stand.sql("SELECT count(DISTINCT organisation) FROM gateway.batch")
    assert prove(stand) == senders >= 2


def test_a_batch_that_the_log_tells_of_and_nobody_has(stand: Stand) -> None:
    """A checkpoint of before proves nothing of it; the newest does not let it pass."""
    name, before = str(uuid4()), stored_checkpoint(stand.home)
    event = Event(kind="upload", door="intake", organisation="140300", request_id=name, sequence=1)

    async def city(tx) -> Event:
        await tx.execute(CITY, ("140300",))
        return event

    stand.run(lambda source: source.recorder.append(event, city))
    try:
        with pytest.raises(BackupError, match="140300") as raised:
            prove(stand)
        assert raised.value.code == "BACKUP_RECEIPT_WRONG"

        async def older(source) -> int:
            return await receipts.prove(source.database, before, stand.keys)

        assert stand.run(older) >= 0
    finally:
        stored = answer(name)
        row = ("140300", name, bytes(32), "140105001", 1, 1, stored)
        stand.sql(ROW, *row)
    assert prove(stand) >= 1


NAME = "11111111-1111-4111-8111-111111111111"


def sample(**other) -> Sample:
    event = Event(
        kind="upload", organisation="140100", request_id=NAME, sequence=1, counts={"accepted": 2}
    )
    one = Sample("140100", NAME, answer(NAME, 1, 1), 5, event.to_leaf(SYSTEM.now_us()))
    return replace(one, **other)


@pytest.mark.parametrize(
    "other",
    [
        {"answer": answer(NAME, 1)},
        {"answer": answer(NAME, 1, 2)},
        {"answer": answer(NAME, 1, 1, 4)},
        {"answer": answer(NAME, 1, 1, sequence=2)},
        {"answer": answer(NAME[::-1], 1, 1)},
        {"answer": answer(NAME, 99)},
        {"answer": b"\xff"},
        {"content": b"{}"},
        {"content": b"no leaf"},
        {"organisation": "140200"},
        {"request_id": NAME.replace("1", "2")},
    ],
)
def test_what_is_not_of_its_batch_is_refused(other) -> None:
    receipts.judge(sample())
    with pytest.raises(BackupError) as raised:
        receipts.judge(sample(**other))
    assert raised.value.code == "BACKUP_RECEIPT_WRONG"
