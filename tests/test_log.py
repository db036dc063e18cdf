import io
import json
import logging
import subprocess
import sys

import pytest

from gateway import log

CANARIES = [
    "140105202203041234",
    "14010520220304123X",
    "１４０１０５２０２２０３０４１２３４",
    "140105220304123",
    "13800138000",
    "+8613800138000",
    "0351-4067890",
    "12345678901234567890",
    "Q140123456",
    "王小明",
    "山西省太原市迎泽区某路1号".removesuffix("1号"),
    "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJ4In0.c2ln",
    "Bearer abc.def",
    "password=hunter2",
    "-----{} PRIVATE KEY-----\nMIIB\n-----END PRIVATE KEY-----".format(
        "BEGIN"
    ),  # no key header here
]


@pytest.fixture
def lines():
    stream = io.StringIO()
    before = (log._LINES.process, log._LINES.stream, sys.excepthook, logging.root.handlers[:])
    log.configure("test", stream)
    yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    log._LINES.process, log._LINES.stream, sys.excepthook, logging.root.handlers[:] = before


def test_a_line_says_when_who_and_what(lines):
    log.get("store").info("started", size=4, digest="ab" * 32)
    (line,) = lines()
    assert line.pop("time").endswith("Z")
    assert line == {
        "process": "test",
        "room": "store",
        "event": "started",
        "size": 4,
        "digest": "ab" * 32,
        "level": "info",
    }


@pytest.mark.parametrize("canary", CANARIES)
@pytest.mark.parametrize("shape", ["{}", "key {} end", "x'{}'", '{{"id": "{}"}}'])
def test_no_canary_reaches_a_line_by_any_way(lines, canary, shape):
    text = shape.format(canary)
    room = log.get("r")
    room.info(text)
    room.warning("e", field=text, inside={"list": [text, {"deep": text}], text: 1})
    try:
        raise KeyError(text)
    except KeyError:
        room.exception("failed")
    logging.getLogger("foreign").error("foreign %s", text)
    written = json.dumps(lines(), ensure_ascii=False)
    assert len(lines()) == 4
    for part in canary.split("\n"):
        assert part not in written
    assert log.MASK in written


def test_a_number_that_looks_like_a_person_is_masked_too():
    assert log.scrub(13800138000) == log.MASK
    assert log.scrub(140105202203041234) == log.MASK


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        1.5,
        1_700_000_000_000_000,
        "1401050001",
        "140100",
        "5f0f3ac8-1380-4138-9001-138001380001",
        "2026-03-04T05:06:07.123456Z",
        "spiffe://gateway.invalid/org/140105/sys/clinic-1",
        "127.0.0.11:50412",
    ],
)
def test_what_an_operator_needs_passes(value):
    assert log.scrub(value) == value


def test_secret_fields_bytes_and_deep_structures_are_never_written(lines):
    deep: object = "bottom"
    for _ in range(log.MAX_DEPTH + 1):
        deep = [deep]
    log.get("r").info(
        "e", new_password="a", access_token="b", inner={"Set-Cookie": "c"}, body=b"xyz", deep=deep
    )
    (line,) = lines()
    assert line["new_password"] == line["access_token"] == line["inner"]["Set-Cookie"] == log.MASK
    assert line["body"] == "<3 bytes>"
    assert "bottom" not in json.dumps(line)


def test_lines_that_cannot_be_written_are_counted_and_told(lines):
    stream = log._LINES.stream
    log._LINES.stream = closed = io.StringIO()
    closed.close()
    log.get("r").info("lost")
    log.get("r").info("lost")
    log._LINES.stream = stream
    log.get("r").info("kept")
    assert [(line["event"], line.get("count")) for line in lines()] == [
        ("lines lost", 2),
        ("kept", None),
    ]


def test_an_uncaught_exception_ends_in_the_file_scrubbed(tmp_path):
    path = tmp_path / "p.log"
    code = f"from pathlib import Path; from gateway import log; log.configure('p', Path({str(path)!r})); raise ValueError('13800138000')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30)
    assert done.returncode == 1
    assert "13800138000" not in done.stderr + path.read_text()
    assert json.loads(path.read_text())["event"] == "uncaught exception"


def test_before_configure_standard_error_is_written():
    code = "from gateway import log; log.get('r').info('early')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30)
    assert json.loads(done.stderr)["event"] == "early"
    assert not done.stdout
