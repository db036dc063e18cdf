"""The list of codes is closed: whatever the verifier can say is in it, with texts in both languages."""

import ast
from pathlib import Path

from gateway.audit.failures import FAILURES, NOTICES
from gateway.messages.texts import catalogue

ROOT = Path(__file__).parents[2] / "gateway"
JUDGED = [
    ROOT / "audit" / name for name in ("verify.py", "judging.py", "beside.py", "witnessing.py")
] + [
    ROOT / "tlog" / f"{name}.py"
    for name in ("note", "checkpoint", "keys", "leaf", "tiles", "policy")
]
SAID = {"Failure", "NoteError", "TileError", "LeafError", "_notice"}
# Of keys as they are parsed from a command line: USAGE before there is a folder to say anything of.
OF_KEYS = {"KEY_NAME", "KEY_LENGTH", "KEY_FORM", "KEY_ID", "KEY_TYPE"}
# What only the writer of a bundle meets.
OF_WRITING = {"ENTRY_LENGTH"}


def said(path: Path) -> set[str]:
    """The codes that a module gives to what it raises or notes."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            name = getattr(node.func, "id", getattr(node.func, "attr", ""))
            texts = [one.value for one in node.args if isinstance(one, ast.Constant)]
            if name in SAID:
                found |= {
                    one for one in texts if isinstance(one, str) and one.isupper() and "_" in one
                }
    return found


def test_whatever_is_said_is_in_the_list() -> None:
    codes = set().union(*map(said, JUDGED)) - OF_KEYS - OF_WRITING
    assert codes <= {*FAILURES, *NOTICES}
    # Those that are given by a name, a default or a table.
    elsewhere = {
        "CHECKPOINT_MISSING",
        "BUNDLE_MISSING",
        "TILE_MISSING",
        "LEAF_FORM",
        "SIGNATURE_MISSING",
    }
    assert {*FAILURES, *NOTICES} - codes <= elsewhere | {"KEY_NOTE_OLD", "KEY_NOTE_NEW"}


def test_the_list_says_nothing_twice() -> None:
    assert len({*FAILURES, *NOTICES}) == len(FAILURES) + len(NOTICES)


def test_every_code_has_a_text_in_both_languages() -> None:
    for language in ("en", "zh"):
        texts = catalogue(language)
        assert [code for code in (*FAILURES, *NOTICES) if f"audit.code.{code}" not in texts] == []
