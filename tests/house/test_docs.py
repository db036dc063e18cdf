"""The documents say what is there."""

import dataclasses
import importlib.util
import re
import subprocess
import typing

import pytest

from gateway.config.settings import Settings
from gateway.errors import REASONS, Reason
from tests.house.tree import ROOT, rooms

DOCS = sorted((ROOT / "docs").rglob("*.md"))
PROMISES = (ROOT / "docs/promises.md").read_text(encoding="utf-8")
TEST_ID = re.compile(r"`(tests/[\w/]+\.py)(?:::(\w+))?`")
DECISION_LINES = 40


def test_the_generated_pages_are_what_the_code_says():
    spec = importlib.util.spec_from_file_location("pages", ROOT / "tools/pages.py")
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    for name, lines in tool.PAGES.items():
        assert (ROOT / "docs" / name).read_text(encoding="utf-8") == "\n".join(lines()) + "\n", (
            "run 'make docs'"
        )


def test_every_reason_has_a_meaning_in_both_languages():
    assert set(REASONS) == set(Reason)
    for reason, meaning in REASONS.items():
        assert meaning.english.endswith("."), reason
        assert meaning.chinese.endswith("。"), reason


def test_the_readme_map_names_every_room_and_no_other():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    table = readme.split("<!-- rooms -->")[1]
    named = {
        room
        for line in table.splitlines()
        for room in re.findall(
            r"`(\w+)(?:\.py)?/?`", line.split("|")[1] if line.startswith("|") else ""
        )
    }
    assert named == rooms() - {"__main__"}


def test_every_promise_names_tests_that_exist():
    rows = [line for line in PROMISES.splitlines() if re.match(r"\| P\d+ ", line)]
    numbers = [int(re.match(r"\| P(\d+) ", row)[1]) for row in rows]
    assert numbers == list(range(1, len(rows) + 1))
    for row in rows:
        ids = TEST_ID.findall(row)
        assert ids, row
        for file, function in ids:
            assert (ROOT / file).exists(), f"{row}: no {file}"
            if function:
                assert re.search(
                    rf"^def {function}\b", (ROOT / file).read_text(encoding="utf-8"), re.MULTILINE
                ), f"no {function} in {file}"


def test_the_readme_promises_only_what_the_list_holds():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    promised = set(re.findall(r"\[P(\d+)\]", readme))
    listed = set(re.findall(r"^\| P(\d+) ", PROMISES, re.MULTILINE))
    assert promised
    assert promised <= listed


@pytest.mark.parametrize(
    "page", [*DOCS, ROOT / "README.md", ROOT / "CHANGELOG.md"], ids=lambda path: path.name
)
def test_links_inside_the_repository_lead_somewhere(page):
    text = page.read_text(encoding="utf-8")
    for target in re.findall(r"\]\((?!https?:|#)([^)#\s]+)", text):
        assert (page.parent / target).exists(), f"{page.name} links to {target}"


@pytest.mark.parametrize(
    "page", sorted((ROOT / "docs/decisions").glob("*.md")), ids=lambda path: path.stem
)
def test_a_decision_is_one_page(page):
    lines = page.read_text(encoding="utf-8").splitlines()
    assert len(lines) <= DECISION_LINES
    assert re.match(r"# \d{4} ", lines[0])
    for heading in ("## Context", "## Options", "## Choice", "## Price"):
        assert heading in lines, heading


def test_decisions_are_numbered_without_gap():
    numbers = [int(page.name[:4]) for page in sorted((ROOT / "docs/decisions").glob("*.md"))]
    assert numbers == list(range(1, len(numbers) + 1))


def test_every_command_that_a_document_names_exists():
    listed = re.findall(
        r"^\| `gateway ([^`]+)`",
        (ROOT / "docs/commands.md").read_text(encoding="utf-8"),
        re.MULTILINE,
    )
    paths = {
        " ".join(word for word in usage.split() if re.fullmatch(r"[a-z-]+", word))
        for usage in listed
    }
    nouns = {path.split()[0] for path in paths}
    for page in [*DOCS, ROOT / "README.md"]:
        for noun, verb in re.findall(
            r"(?:`|bin/)gateway ([a-z-]+)(?: ([a-z-]+))?", page.read_text(encoding="utf-8")
        ):
            assert noun in nouns, f"{page.name}: gateway {noun}"
            said = f"{noun} {verb}"
            known = {noun, said} & paths or any(path.startswith(f"{said} ") for path in paths)
            assert known, f"{page.name}: gateway {said}"


def test_every_target_of_make_that_a_document_names_exists():
    targets = set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for page in [*DOCS, ROOT / "README.md"]:
        for target in re.findall(r"`make ([a-z0-9-]+)", page.read_text(encoding="utf-8")):
            assert target in targets, f"{page.name}: make {target}"


def test_make_alone_prints_the_targets():
    done = subprocess.run(
        ["make"], cwd=ROOT, capture_output=True, text=True, timeout=30, check=True
    )
    for target in ("venv", "check", "test", "demo", "bench"):
        assert f"make {target}" in done.stdout


def setting_keys(kind, prefix=""):
    """Dotted names of all settings; a tuple of tables counts as its table."""
    for field in dataclasses.fields(kind):
        hint = typing.get_type_hints(kind)[field.name]
        inner = next(
            (part for part in (hint, *typing.get_args(hint)) if dataclasses.is_dataclass(part)),
            None,
        )
        yield from setting_keys(inner, f"{prefix}{field.name}.") if inner else [prefix + field.name]


def test_the_operators_page_names_every_setting():
    page = (ROOT / "docs/operations.md").read_text(encoding="utf-8")
    assert [key for key in setting_keys(Settings) if f"`{key}`" not in page] == []
