from dataclasses import dataclass, field

import pytest

from gateway.config.strict import SettingsError, build, read


@dataclass(frozen=True)
class Inner:
    number: int = 1


@dataclass(frozen=True)
class Outer:
    text: str
    share: float = 0.5
    flag: bool = False
    words: tuple[str, ...] = ()
    inner: Inner = field(default_factory=Inner)
    many: tuple[Inner, ...] = ()


def test_builds_nested_values_with_defaults() -> None:
    table = {"text": "a", "share": 1, "words": ["b"], "inner": {"number": 2}, "many": [{}]}
    assert build(Outer, table, "") == Outer("a", 1.0, False, ("b",), Inner(2), (Inner(1),))


@pytest.mark.parametrize(
    ("table", "complaint"),
    [
        ({}, "f: text: missing"),
        ({"text": "a", "other": 1}, "f: other: unknown key"),
        ({"text": 1}, "f: text: must be str, not int"),
        ({"text": "a", "flag": 1}, "f: flag: must be bool, not int"),
        ({"text": "a", "share": True}, "f: share: must be float, not bool"),
        ({"text": "a", "words": "b"}, "f: words: must be a list"),
        ({"text": "a", "words": [1]}, "f: words[0]: must be str, not int"),
        ({"text": "a", "inner": 1}, "f: inner: must be a table"),
        ({"text": "a", "inner": {"numbr": 1}}, "f: inner.numbr: unknown key"),
        ({"text": "a", "many": [{"number": "x"}]}, "f: many[0].number: must be int, not str"),
    ],
)
def test_names_the_key_that_is_wrong(table, complaint) -> None:
    with pytest.raises(SettingsError) as caught:
        build(Outer, table, "f: ")
    assert str(caught.value) == complaint


def test_reads_toml_or_says_why_not(tmp_path) -> None:
    good, bad, binary = tmp_path / "good", tmp_path / "bad", tmp_path / "binary"
    good.write_text("a = 1")
    bad.write_text("a = ")
    binary.write_bytes(b"a = '\xff'")
    assert read(good) == {"a": 1}
    for path in (bad, binary, tmp_path / "absent", tmp_path):
        with pytest.raises(SettingsError, match=str(path)):
            read(path)
