import pytest

from gateway.client.reading import ReadingError, items, units

CANARY = "11010519491231002X"


def write(tmp_path, name, content):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def test_lines_are_items_and_blank_lines_and_a_mark_are_passed_over(tmp_path):
    text = '\ufeff{"child":{"name":"甲"}}\n\n{"vaccination":{"recordId":"r"}}\n'
    found = list(items(write(tmp_path, "a.jsonl", text)))
    assert [item.WhichOneof("record") for item in found] == ["child", "vaccination"]


def test_rows_are_records_of_the_kind_that_the_header_tells(tmp_path):
    text = '\ufeffchild_code,name,household.detail\r\n1,"甲\n乙","a,b"\r\n\r\n2,丙,c\r\n'
    found = [item.child for item in items(write(tmp_path, "a.csv", text))]
    assert [(child.child_code, child.name) for child in found] == [("1", "甲\n乙"), ("2", "丙")]


@pytest.mark.parametrize(
    ("name", "content", "line", "field", "wanted"),
    [
        ("a.jsonl", f'{{"child":{{}}}}\n{{"child":{{"sex":"{CANARY}"}}}}', 2, "child.sex", "code"),
        ("a.jsonl", f'{{"child":{CANARY}', 1, "", "json"),
        ("a.jsonl", f'"{CANARY}"', 1, "", "object"),
        ("a.jsonl", '{"child":{},"device":{}}', 1, "", "item"),
        ("a.jsonl", "{}", 1, "", "item"),
        ("a.jsonl", '{"child":{"name":"a","name":"b"}}', 1, "", "once"),
        ("a.jsonl", "[" * 100_000, 1, "", "json"),
        ("a.jsonl", b'{"child":{}}\n\xff\xfe', 2, "", "utf8"),
        ("a.csv", f"child_code,birth_date\n1,2026-01-01\n2,{CANARY}\n", 3, "birth_date", "day"),
        ("a.csv", f"child_code,{CANARY}\n", 1, CANARY, "known"),
        ("a.csv", "child_code,name\n1\n", 2, "", "cells"),
        ("a.csv", 'child_code,name\n1,"a"b\n', 2, "", "csv"),
        ("a.csv", "colour\nred\n", 1, "", "kind"),
        ("a.csv", "\nred\n", 1, "", "kind"),
        ("a.csv", "unit_code,name\n1,a\n", 1, "", "kind"),
    ],
)
def test_an_error_names_line_and_field_and_never_the_value(
    tmp_path, name, content, line, field, wanted
):
    with pytest.raises(ReadingError) as raised:
        list(items(write(tmp_path, name, content)))
    error = raised.value
    assert (error.line, error.field, error.wanted) == (line, field, wanted)
    if field != CANARY:
        assert CANARY not in str(error)


def test_units_are_read_alone(tmp_path):
    (unit,) = units(
        write(tmp_path, "u.csv", "unit_code,name,level\n1401050003,城关,VACCINATION_UNIT\n")
    )
    assert (unit.unit_code, unit.level) == ("1401050003", 4)
    (unit,) = units(write(tmp_path, "u.jsonl", '{"unitCode":"1401050003"}'))
    assert unit.unit_code == "1401050003"
    with pytest.raises(ReadingError):
        list(units(write(tmp_path, "c.csv", "child_code,name\n1,a\n")))
