import json
from dataclasses import replace

import pytest

from gateway.link import connection
from gateway.link.connection import Connection, MalformedConnectionError
from gateway.vpn.origin import Origin

ONE = Connection(
    name="0" * 32,
    door="intake",
    peer="127.0.0.1:5",
    listener="127.0.0.11:8443",
    organisation="140100",
    subject="spiffe://gateway.invalid/org/140100/sys/his",
    serial="ab",
    certificate_sha256="cd" * 32,
    spki_sha256="ef" * 32,
    not_after_us=5,
    origin=Origin("140100", "listen/127.0.0.11", "static", "weak", "127.0.0.11"),
)


def test_there_and_back():
    assert Connection.from_json(ONE.to_json()) == ONE
    assert "\n" not in ONE.to_json()
    lame = replace(ONE, defect="CERT_EXPIRED")
    assert Connection.from_json(lame.to_json()) == lame


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "null",
        "{}",
        "[" * 100_000,
        json.dumps({**json.loads(ONE.to_json()), "more": 1}),
        json.dumps({**json.loads(ONE.to_json()), "not_after_us": "5"}),
        json.dumps({**json.loads(ONE.to_json()), "serial": 7}),
        json.dumps({**json.loads(ONE.to_json()), "origin": None}),
        replace(ONE, origin=replace(ONE.origin, strength="strong")).to_json(),
        replace(ONE, defect="CERT_ODD").to_json(),
        json.dumps({**json.loads(ONE.to_json()), "defect": None}),
    ],
)
def test_what_is_no_connection(text):
    with pytest.raises(MalformedConnectionError):
        Connection.from_json(text)


def test_names_are_random_and_have_one_form():
    names = {connection.new_name() for _ in range(100)}
    assert len(names) == 100
    assert all(connection.is_name(name) for name in names)
    for wrong in ("", "0" * 31, "0" * 33, "G" * 32, "A" * 32, "0" * 32 + "\n", None, 5):
        assert not connection.is_name(wrong)
    assert connection.abstract_address("0" * 32) == "\0gateway-" + "0" * 32
