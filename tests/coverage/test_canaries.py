"""Personal data in any field of any message goes into no status, no leaf and no log line."""

import uuid

import pytest
from google.protobuf.descriptor import FieldDescriptor

from gateway.v1 import upload_service_pb2 as upload
from tests.coverage.rpcs import ALL, IDS, UPLOAD, Watch, a_receipt, case_of, rpc_of, send, token_for
from tests.world import RefusedError

NAME, IDENTITY, PHONE = "王小明", "140105202401010011", "13800138000"
CANARIES = {"name": NAME, "identity": IDENTITY, "phone": PHONE}


@pytest.fixture(autouse=True)
def fresh(province):
    province.world.receipt_id = province.run(a_receipt(province.world))
    for door in province.world.doors.values():
        door.guard._checks.limits._accounts._levels.clear()
        door.guard._checks.limits._connections._levels.clear()


def string_fields(message, seen=()):
    """The paths of every string field below a message type: tuples of field descriptors."""
    for field in message.fields:
        if field.type == FieldDescriptor.TYPE_STRING:
            yield (field,)
        elif field.message_type is not None and field.message_type not in seen:
            for path in string_fields(field.message_type, (*seen, message)):
                yield (field, *path)


def planted(message, path, canary):
    """A copy of the message with the canary in this field."""
    made = type(message)()
    made.CopyFrom(message)
    at = made
    for field in path[:-1]:
        inner = getattr(at, field.name)
        if field.is_repeated:
            at = inner[0] if len(inner) else inner.add()
        else:
            inner.SetInParent()
            at = inner
    last = path[-1]
    if last.is_repeated:
        getattr(at, last.name).append(canary)
    else:
        setattr(at, last.name, canary)
    if path[0].name != "request_id" and "request_id" in made.DESCRIPTOR.fields_by_name:
        made.request_id = str(uuid.uuid4())
    return made


PLANTED = [
    (case, number, which)
    for case in ALL
    for number, _ in enumerate(string_fields(rpc_of(*case).request.DESCRIPTOR))
    for which in (CANARIES if case[1] != UPLOAD else ["identity"])
]


@pytest.mark.parametrize(
    ("case", "number", "which"),
    PLANTED,
    ids=[f"{IDS[case]}-{n}-{which}" for case, n, which in PLANTED],
)
def test_a_canary_in_a_field(province, capsys, case, number, which):
    canary = CANARIES[which]

    async def scenario(world):
        person = case_of(case[1]).caller(world)
        message = case_of(case[1]).message(world)
        path = list(string_fields(message.DESCRIPTOR))[number]
        token = await token_for(world, case[1], person)
        watch = Watch(world)
        said = b""
        raw = planted(message, path, canary).SerializeToString()
        try:
            reply = await send(world, *case, person, [raw], token=token)
        except RefusedError as error:
            said = error.raw + error.message.encode() + error.checkpoint
        else:
            if case[1] == UPLOAD:
                said = findings(reply)
        assert len(await watch.leaves()) == 1
        rows = world.sql("SELECT leaf FROM gateway.audit_entry WHERE idx >= %s", watch._begin)
        said += b"".join(bytes(leaf) for (leaf,) in rows)
        assert canary.encode() not in said, path[-1].full_name

    province.run(scenario(province.world))
    out, err = capsys.readouterr()
    assert canary not in out + err


def findings(reply):
    """All of a receipt's answer but the ids that the sender gave its own records."""
    receipt = upload.UploadBatchesResponse.FromString(reply).receipt
    for item in receipt.items:
        item.record_id = ""
    return receipt.SerializeToString()


@pytest.mark.parametrize("which", CANARIES)
def test_a_canary_in_metadata_and_method(province, capsys, which):
    canary = CANARIES[which]

    async def scenario(world):
        watch = Watch(world)
        text = canary if canary.isascii() else "%E7%8E%8B"
        said = b""
        for method, metadata in (
            (f"/gateway.v1.IdentityService/{text}", ()),
            (f"/{text}/Login", ()),
            ("/gateway.v1.IdentityService/WhoAmI", (("authorization", f"Bearer {text}"),)),
            ("/gateway.v1.IdentityService/WhoAmI", (("authorization", text), ("x-name", text))),
            ("/gateway.v1.IdentityService/WhoAmI", (("x-name-bin", canary.encode()),)),
        ):
            try:
                await world.call(world.county, method, b"", door="identity", metadata=metadata)
            except RefusedError as error:
                said += error.raw + error.message.encode()
        assert len(await watch.leaves()) == 5
        said += str(world.leaves(watch._begin)).encode()
        assert canary.encode() not in said
        assert text.encode() not in said

    province.run(scenario(province.world))
    out, err = capsys.readouterr()
    assert canary not in out + err
