"""[P12] Personal data, in whatever field a careless or hostile sender puts them, reach no status, finding, leaf or log.

Every string field of every call and of every kind of record is filled with planted canaries, one field at a time. What
comes back, the audit log, the process log and the tables that intake writes are searched for them.
"""

import io
import json

import pytest
from google.protobuf.message import Message

from gateway import log
from gateway.v1 import upload_service_pb2 as upload
from tests.coverage.rpcs import (
    IDS,
    UNARY,
    UPLOAD,
    Watch,
    a_batch,
    a_receipt,
    call,
    case_of,
    token_for,
)
from tests.exports.cast import Cast
from tests.uploads.county import a_child, a_dose
from tests.world import RefusedError, held

# A name, an identity number, a phone, and a word that no pattern of the process log knows.
CANARIES = ("金丝雀欧阳 13912345678 canary-ouyang-7f3a", "140105201502037719", "canary-ouyang-7f3a")
PLANTED = ("金丝雀", "欧阳", "13912345678", "canary-ouyang", "140105201502037719")
INTAKE_TABLES = (
    "batch",
    "item",
    "held",
    "child",
    "child_identity",
    "retired_child",
    "dose",
    "document",
    "earlier_revision",
)


# What an administrator names a system or an account, in the grammar of names, is its name, on the log too.
NAMES = {(field, CANARIES[2]) for field in ("system_name", "account_name", "bearer.system_name")}
# A record's own id in the grammar of ids is in clear, as the contract says; digits and Chinese are not in that grammar.
OWN_IDS = {"report_id", "merge_id", "device_id", "document_id"}


@pytest.fixture(scope="module")
def province(cluster):
    with held(cluster) as stands:
        stands.world.receipt_id = stands.run(a_receipt(stands.world))
        stands.world.cast = stands.run(Cast.open(stands.world))
        yield stands


@pytest.fixture(autouse=True)
def process_log(monkeypatch):
    stream = io.StringIO()
    monkeypatch.setattr(log._LINES, "stream", stream)
    return stream


def places(message: Message, path: str = ""):
    """(path, a function that writes into it) of every string field, nested ones too."""
    for field in message.DESCRIPTOR.fields:
        where = f"{path}.{field.name}".lstrip(".")
        if field.type == field.TYPE_STRING:
            yield where, lambda text, field=field: write(message, field, text)
        elif field.type == field.TYPE_MESSAGE and field.full_name.startswith("gateway."):
            if field.is_repeated:
                yield from places(
                    getattr(message, field.name).add()
                    if not getattr(message, field.name)
                    else getattr(message, field.name)[0],
                    where,
                )
            elif field.containing_oneof is None or message.HasField(field.name):
                yield from places(getattr(message, field.name), where)


def write(message, field, text):
    if field.is_repeated:
        del getattr(message, field.name)[:]
        getattr(message, field.name).append(text)
    else:
        setattr(message, field.name, text)


def found_in(text: str) -> list[str]:
    """Which planted words stand in a text, also as JSON escapes or hexadecimal."""
    return [
        word
        for word in PLANTED
        if word in text or json.dumps(word).strip('"') in text or word.encode().hex() in text
    ]


async def said(world, door, method, person, message, token):
    """What a caller is told, apart from what it may be told: its own ids again."""
    try:
        reply = await call(world, door, method, person, message, token)
    except RefusedError as error:
        return error.raw.decode(errors="replace") + error.message
    if method != UPLOAD:
        return ""
    receipt = upload.UploadBatchesResponse.FromString(reply).receipt
    return str([item.findings for item in receipt.items])


def check(province, process_log, door, method, person, message, token):
    """Make a call and look everywhere; return what was found."""
    world = province.world
    watch = Watch(world)
    told = province.run(said(world, door, method, person, message, token))
    leaves = province.run(watch.leaves())
    assert leaves, "a call without a leaf"
    return {
        "status or finding": found_in(told),
        "leaf": found_in(json.dumps(leaves, ensure_ascii=False)),
        "log": found_in(process_log.getvalue()),
    }


@pytest.mark.parametrize(("door", "method"), UNARY, ids=[IDS[case] for case in UNARY])
def test_no_call_repeats_what_it_was_given(province, process_log, door, method):
    world, case = province.world, case_of(method)
    person = case.caller(world)
    leaks = []
    for index in range(len(list(places(case.message(world))))):
        for canary in CANARIES:
            message = case.message(world)
            where, plant = list(places(message))[index]
            plant(canary)
            token = province.run(token_for(world, method, person))
            found = check(province, process_log, door, method, person, message, token)
            if method.startswith("/gateway.v1.AdminService/") and (where, canary) in NAMES:
                continue
            leaks += [(where, canary, place, words) for place, words in found.items() if words]
    assert leaks == []


def records():
    """One record of every kind; the last five are as good as empty but for the field that is planted."""
    child = a_child(7)
    child.restricted.allergies = "none"
    others = {
        field.name: field.message_type._concrete_class() for field in upload.Item.DESCRIPTOR.fields
    }
    return others | {"child": child, "vaccination": a_dose(a_child(8))}


def rows_of(world):
    """What intake has written, as text; bytes in hexadecimal."""
    return {
        str(row)
        for table in INTAKE_TABLES
        for row in world.sql(f"SELECT t::text FROM gateway.{table} t")
    }


def planted_items():
    for kind, record in records().items():
        for index, (where, _) in enumerate(places(record)):
            yield pytest.param(kind, index, id=f"{kind}.{where}")


@pytest.mark.parametrize(("kind", "index"), list(planted_items()))
def test_no_record_shows_through(province, process_log, kind, index):
    world = province.world
    person = world.county
    token = province.run(token_for(world, UPLOAD, person))
    leaks = []
    for canary in CANARIES:
        record = records()[kind]
        where, plant = list(places(record))[index]
        plant(canary)
        batch = a_batch(world, person, upload.Item(**{kind: record}))
        before = rows_of(world)
        found = check(province, process_log, "intake", UPLOAD, person, batch, token)
        if not (where in OWN_IDS and canary == CANARIES[2]):
            found["tables"] = found_in("\n".join(rows_of(world) - before))
        leaks += [(canary, place, words) for place, words in found.items() if words]
    assert leaks == []


ENVELOPE = [where for where, _ in places(upload.UploadBatchesRequest()) if "." not in where]


@pytest.mark.parametrize("name", ENVELOPE)
def test_no_envelope_shows_through(province, process_log, name):
    world = province.world
    person = world.county
    token = province.run(token_for(world, UPLOAD, person))
    leaks = []
    for canary in CANARIES:
        batch = a_batch(world, person, **{name: canary})
        found = check(province, process_log, "intake", UPLOAD, person, batch, token)
        leaks += [(canary, place, words) for place, words in found.items() if words]
    assert leaks == []


def test_an_exception_does_not_carry_data_out(province, process_log, monkeypatch):
    """A crash inside a rule quotes the record in its text; neither caller nor log sees it."""
    world = province.world
    person = world.county
    token = province.run(token_for(world, UPLOAD, person))

    def crash(*_args, **_kwargs):
        raise KeyError(PLANTED)

    monkeypatch.setattr("gateway.uploads.batch.Intake.accept", crash)
    found = check(province, process_log, "intake", UPLOAD, person, a_batch(world, person), token)
    assert found == {"status or finding": [], "leaf": [], "log": []}
    assert "call.failed" in process_log.getvalue()
