"""Every field of what may leave has a class or is said to stay; a mask shows everybody the same part."""

import pytest
from google.protobuf.descriptor import FieldDescriptor
from hypothesis import given
from hypothesis import strategies as st

from gateway.policy import fields
from gateway.policy.fields import DATASETS, Column, UnknownColumnError
from gateway.v1 import options_pb2
from gateway.v1.options_pb2 import DataClass, ExportClass

# Messages without a class of their own: what is in them has one.
STRUCTURE = {"lot", "trace", "lines", "suspects", "household", "residence"}
# Whatever these hold, no table has them (exports.md section 7, attack 44).
FREE_TEXT = {
    "status_reason",
    "correction_reason",
    "no_scan_reason",
    "remark",
    "detail",
    "allergies",
    "clinical_course",
    "dose_amount",
    "specification",
}


def every(message, above=""):
    """Every field of a message and of what is in it, with its path."""
    for field in message.fields:
        path = f"{above}{field.name}"
        yield path, field
        inner = field.message_type
        if inner is not None and inner.full_name.startswith("gateway.v1."):
            yield from every(inner, f"{path}.")


def option(field, which):
    return field.GetOptions().Extensions[which]


LEAVES = [
    (name, path, field)
    for name, kind in DATASETS.items()
    for path, field in every(kind.message)
    if path.split(".")[-1] not in {"year", "month", "day"}
]


@pytest.mark.parametrize(("dataset", "path", "field"), LEAVES, ids=lambda one: str(one)[:40])
def test_every_field_has_a_class_or_is_said_to_stay(dataset, path, field):
    word = ExportClass.Name(option(field, options_pb2.export_class))
    if path.split(".")[-1] in STRUCTURE:
        assert word == "EXPORT_CLASS_UNSPECIFIED", "what is in it says"
        return
    assert word != "EXPORT_CLASS_UNSPECIFIED", f"{path} has no export_class"
    leaves = path in fields.columns(dataset)
    assert not (leaves and word == "EXPORT_CLASS_NEVER")
    if option(field, options_pb2.data_class) == DataClass.DATA_CLASS_RESTRICTED:
        assert not leaves, f"{path} is restricted"
    if field.name in FREE_TEXT or "phone" in field.name:
        assert not leaves, f"{path} holds whatever somebody wrote"


def test_what_leaves_and_is_identified_is_masked_or_health():
    """What GB/T 39725 calls identified goes verbatim only where it is the matter itself."""
    verbatim = {
        (dataset, path)
        for dataset in DATASETS
        for path, column in fields.columns(dataset).items()
        if column.data_class == DataClass.DATA_CLASS_IDENTIFIED
        and column.export_class not in {"IDENTIFIER", "NAME", "BIRTH", "ADDRESS"}
    }
    assert verbatim == {
        ("children", "sex"),
        ("children", "birth_weight_grams"),
        ("vaccinations", "dose_number"),
        ("vaccinations", "vaccinated_date"),
        ("adverse_events", "suspects.vaccinated_date"),
        ("adverse_events", "onset_date"),
        ("adverse_events", "found_date"),
    }


def test_every_class_of_the_contract_has_a_mask_or_never_leaves():
    for word in ExportClass.keys():  # noqa: SIM118 # no dict
        name = word.removeprefix("EXPORT_CLASS_")
        column = Column("some.path", name, 0, "", "text", {})
        if name in {"UNSPECIFIED", "NEVER", "IDENTIFIER"}:
            with pytest.raises(UnknownColumnError):
                fields.mask(column, "value")
        else:
            assert fields.mask(column, "value")


@pytest.mark.parametrize(
    ("dataset", "path", "value", "left"),
    [
        ("children", "name", "欧阳小明", "欧*"),
        ("children", "name", "", ""),
        ("children", "birth_date", "2025-03-17", "2025-03"),
        ("children", "filed_date", "2025-03-18", "2025-03"),
        ("children", "household.division_code", "140105", "140105"),
        ("children", "household.division_code", "140105001", "140105"),
        ("children", "sex", "FEMALE", "FEMALE"),
        ("vaccinations", "lot.lot_number", "B2025-01(A)", "B2025-01(A)"),
        ("vaccinations", "lot.lot_number", "11010519491231002X", ""),
        ("vaccinations", "lot.lot_number", "tel13812345678", ""),
        ("vaccinations", "lot.lot_number", "20250313812345678901", "20250313812345678901"),
        ("vaccinations", "lot.lot_number", "王小明之母", ""),
        ("vaccinations", "lot.lot_number", "lot of Wang", ""),
        ("vaccinations", "lot.lot_number", "=1+1", ""),
        ("vaccinations", "lot.lot_number", "１２３", ""),
        ("vaccinations", "lot.lot_number", "A" * 65, ""),
        ("vaccinations", "unit_code", "1401050001", "1401050001"),
    ],
)
def test_a_mask_leaves_what_its_class_says(dataset, path, value, left):
    assert fields.mask(fields.columns(dataset)[path], value) == left


def test_the_day_of_birth_is_for_adverse_events_and_the_rest_of_it_the_same():
    column = fields.columns("children")["birth_date"]
    assert fields.mask(column, "2025-03-17", whole_birth=True) == "2025-03-17"
    name = fields.columns("children")["name"]
    assert fields.mask(name, "王芳", whole_birth=True) == fields.mask(name, "王芳")


@given(value=st.text(max_size=40))
def test_a_mask_never_shows_more_than_the_value_and_is_always_the_same(value):
    for column in fields.columns("children").values():
        if column.export_class in {"", "IDENTIFIER"}:
            continue
        left = fields.mask(column, value)
        assert left == fields.mask(column, value)
        assert left.removesuffix("*") in value


def test_classes_are_those_of_the_columns_and_tokens_have_none():
    assert fields.classes("children", ["child_token", "name", "sex"]) == {"NAME", "DEMOGRAPHIC"}
    assert fields.classes("stock", ["record_token"]) == frozenset()


@pytest.mark.parametrize(
    "path",
    [
        "guardians.name",
        "guardians",
        "household",
        "household.detail",
        "restricted.mother_hiv",
        "Name",
        "name ",
        "lot.vaccine_code",
        "",
    ],
)
def test_a_column_that_may_not_leave_is_unknown(path):
    with pytest.raises(UnknownColumnError):
        fields.classes("children", ["sex", path])


def test_stock_has_no_child():
    assert "child_token" not in fields.columns("stock")


def test_a_code_has_a_word_for_every_number_but_zero():
    for dataset in DATASETS:
        for column in fields.columns(dataset).values():
            assert (column.kind == "code") == bool(column.codes)
            assert 0 not in column.codes


def test_each_kind_of_field_is_known():
    kinds = {column.kind for name in DATASETS for column in fields.columns(name).values()}
    assert kinds == {"text", "integer", "truth", "day", "time", "code"}
    assert FieldDescriptor.TYPE_BYTES not in {field.type for _, _, field in LEAVES}


def test_columns_that_the_contract_does_not_let_leave_are_named_in_their_order() -> None:
    paths = ["lot.vaccine_code", "lot.forgotten", "child_token", "z"]
    assert fields.withdrawn("vaccinations", paths) == ("lot.forgotten", "z")
    assert fields.withdrawn("vaccinations", ["lot.vaccine_code"]) == ()
