"""Nothing but typed fields of a closed grammar gets into a leaf."""

import dataclasses

import pytest

from gateway.audit.event import Event, EventError
from gateway.audit.words import COUNTS, DETAILS
from gateway.errors import Reason
from gateway.tlog import leaf


class Tag:
    """A child, as the door's keys would tag it."""

    def __init__(self, tag: str = "56" * 16) -> None:
        self.said = tag

    def tag(self, time_us: int) -> str:
        return self.said


FULL = Event(
    kind="upload",
    decision="deny",
    reason=Reason.POLICY_DENIED,
    door="intake",
    rpc="/gateway.v1.UploadService/UploadBatches",
    organisation="140100",
    subject="spiffe://gateway.invalid/org/140100/sys/his-1",
    account="county.upload",
    session="0123456789abcdef" * 2,
    certificate="ab" * 32,
    serial="0badcafe",
    connection="cd" * 16,
    peer="127.0.0.1:50000",
    listener="[::1]:8443",
    ingress="static:127.0.0.11",
    tunnel="static",
    strength="weak",
    request_id="6ba7b810-9dad-41d1-80b4-00c04fd430c8",
    batch_id=12,
    unit="1401050001",
    sequence=0,
    commitment="ef" * 32,
    sealed="34" * 32,
    child=Tag(),
    policies=("upload-own-unit",),
    bundle="12" * 32,
    counts={"accepted": 3, "rejected": 0},
    detail={"pid": 17, "target_account": "li.si"},
)
# A name, an address, an identity number, a child code, a mobile number, a landline, a password.
CANARIES = (
    "张三",
    "太原市迎泽区",
    "110101199003074514",
    "11010119900307451X",
    "140105202600000012",
    "13800138000",
    "0351-1234567",
    "Correct horse!",
    "zhang san",
    "a\nb",
    "a\x00",
    "",
    "x" * 500,
)
# A phone number has the form of a longer organisation code or account name; who makes those is asked there.
LIKE_OURS = {
    ("serial", "110101199003074514"),
    ("serial", "140105202600000012"),
    ("serial", "13800138000"),
    ("organisation", "13800138000"),
    ("account", "13800138000"),
    ("account", "0351-1234567"),
    ("ingress", "0351-1234567"),
    ("tunnel", "0351-1234567"),
}


def test_a_full_leaf_is_canonical_and_holds_every_field() -> None:
    document = leaf.parse(FULL.to_leaf(1_790_000_000_000_000))
    names = {each.name for each in dataclasses.fields(Event)} - {"child"}
    assert document.keys() == names | {"time_us", "version", "subject_tag"}
    assert document["subject_tag"] == "56" * 16
    assert document["counts"] == {"accepted": 3, "rejected": 0}
    assert document["sequence"] == 0
    assert document["version"] == 1


def test_what_is_not_set_is_left_out() -> None:
    made = Event(kind="log.clock", counts={}, detail={}, policies=())
    assert made.to_leaf(5) == b'{"decision":"allow","kind":"log.clock","time_us":5,"version":1}'


@pytest.mark.parametrize("field", [each.name for each in dataclasses.fields(Event)])
@pytest.mark.parametrize("canary", CANARIES)
def test_no_canary_enters_by_any_field(field: str, canary: str) -> None:
    if (field, canary) in LIKE_OURS:
        pytest.skip("has the form of one of our own codes")
    for value in (canary, (canary,), {canary: 1}, {"accepted": canary}, {"method": canary}):
        with pytest.raises(EventError) as error:
            FULL.with_(**{field: value}).to_leaf(1)
        assert field in str(error.value)
        assert not canary or canary not in str(error.value)


@pytest.mark.parametrize("value", [1.5, True, -1, b"x", object()])
@pytest.mark.parametrize("field", ["batch_id", "sequence", "counts", "kind", "policies", "subject"])
def test_values_of_another_type(field: str, value: object) -> None:
    with pytest.raises(EventError):
        FULL.with_(**{field: value}).to_leaf(1)


@pytest.mark.parametrize("key", sorted(DETAILS))
def test_every_detail_has_a_grammar_that_no_canary_fits(key: str) -> None:
    for canary in CANARIES:
        field = key.removeprefix("target_").removeprefix("parent_").removeprefix("subject_")
        field = field.removeprefix("relative_")
        if (field.replace("name", "account"), canary) in LIKE_OURS:
            continue
        with pytest.raises(EventError):
            Event(kind="a", detail={key: canary}).to_leaf(1)
    if DETAILS[key] is None:
        Event(kind="a", detail={key: 7}).to_leaf(1)


def test_unknown_keys_and_fields() -> None:
    with pytest.raises(EventError):
        Event(kind="a", counts={"names": 1}).to_leaf(1)
    with pytest.raises(EventError):
        Event(kind="a", detail={"name": "x"}).to_leaf(1)
    with pytest.raises(TypeError):
        FULL.with_(name="x")
    assert "names" not in COUNTS


@pytest.mark.parametrize("canary", [*CANARIES, "56" * 15, "56" * 17, "AB" * 16])
def test_of_a_child_nothing_but_a_tag_enters(canary: str) -> None:
    with pytest.raises(EventError, match="child"):
        FULL.with_(child=Tag(canary)).to_leaf(1)
    assert FULL.with_(child=Tag(canary)).bare().child is None


def test_what_is_left_of_an_unfit_event() -> None:
    assert FULL.with_(account="张三").bare() == Event(
        kind="upload", door="intake", request_id=FULL.request_id
    )
    assert Event(kind="张三", door="张三", request_id="张三").bare() == Event(kind="log.unfit")
