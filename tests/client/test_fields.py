import pytest
from google.protobuf import json_format

from gateway.client.fields import FieldError, keywords, timestamp
from gateway.v1 import stock_pb2 as s
from gateway.v1 import upload_service_pb2 as up
from gateway.v1 import vaccination_pb2 as v

DOSE = {
    "recordId": "r",
    "doseNumber": 2,
    "revision": "3",
    "freeOfCharge": True,
    "lot": {"lotNumber": "L", "expiryDate": {"year": 2027, "month": 1, "day": 2}},
    "site": "SITE_ORAL",
    "route": 4,
    "enteredTime": "2026-03-01T08:30:00.250+08:00",
    "trace": {"nmpaCode": "1" * 20, "level": "LEVEL_CASE"},
    "correctionReason": None,
}


def test_a_message_is_what_protobuf_makes_of_the_same_json():
    made = v.Vaccination(**keywords(v.Vaccination.DESCRIPTOR, DOSE))
    assert made == json_format.ParseDict(
        {k: x for k, x in DOSE.items() if x is not None}, v.Vaccination()
    )


def test_proto_names_and_lists_are_taken_too():
    line = {"package_count": -5, "trace_codes": [{"nmpaCode": "1"}, {"isoCode": "2"}]}
    made = s.StockMovement(**keywords(s.StockMovement.DESCRIPTOR, {"lines": [line]}))
    assert made.lines[0].package_count == -5
    assert [code.WhichOneof("form") for code in made.lines[0].trace_codes] == [
        "nmpa_code",
        "iso_code",
    ]


@pytest.mark.parametrize(
    ("value", "path", "wanted"),
    [
        ([], "", "object"),
        ({"colour": 1}, "colour", "known"),
        ({"<script>": 1}, "", "known"),
        ({"recordId": 5}, "record_id", "text"),
        ({"recordId": "\ud800"}, "record_id", "text"),
        ({"recordId": "a", "record_id": "b"}, "record_id", "once"),
        ({"doseNumber": -1}, "dose_number", "integer"),
        ({"doseNumber": 2**32}, "dose_number", "integer"),
        ({"doseNumber": 1.5}, "dose_number", "integer"),
        ({"doseNumber": True}, "dose_number", "integer"),
        ({"doseNumber": "１"}, "dose_number", "integer"),
        ({"freeOfCharge": 1}, "free_of_charge", "boolean"),
        ({"site": "SITE_HEAD"}, "site", "code"),
        ({"site": 77}, "site", "code"),
        ({"lot": {"expiryDate": {"year": "x"}}}, "lot.expiry_date.year", "integer"),
        ({"enteredTime": "yesterday"}, "entered_time", "time"),
        ({"trace": []}, "trace", "object"),
    ],
)
def test_an_error_names_the_field_and_never_the_value(value, path, wanted):
    with pytest.raises(FieldError) as raised:
        keywords(v.Vaccination.DESCRIPTOR, value)
    assert (raised.value.path, raised.value.wanted) == (path, wanted)


def test_a_list_must_be_one():
    with pytest.raises(FieldError) as raised:
        keywords(up.Item.DESCRIPTOR, {"stockMovement": {"lines": {}}})
    assert (raised.value.path, raised.value.wanted) == ("stock_movement.lines", "list")


def test_a_time_without_zone_is_shanxis():
    assert timestamp("2026-03-01 08:30") == timestamp("2026-03-01T00:30:00Z")
    assert timestamp("1969-12-31T23:59:59.5Z") == {"seconds": -1, "nanos": 500_000_000}
    for bad in ("", "2026-13-01", "0001-01-01", 7):
        with pytest.raises(FieldError):
            timestamp(bad)
