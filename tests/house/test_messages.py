import ast
import string

from typer.main import get_command

from gateway.cli.main import application
from gateway.messages.texts import catalogue
from tests.house.tree import modules, parse


def placeholders(template):
    return {field for _, field, _, _ in string.Formatter().parse(template) if field is not None}


def test_both_languages_have_the_same_ids_and_placeholders():
    english, chinese = catalogue("en"), catalogue("zh")
    assert english.keys() == chinese.keys()
    for msgid in english:
        assert placeholders(english[msgid]) == placeholders(chinese[msgid]), msgid
        assert all(field.isidentifier() for field in placeholders(english[msgid])), msgid
        assert english[msgid].strip(), msgid
        assert chinese[msgid].strip(), msgid


def test_every_id_written_in_the_code_has_a_text():
    known = catalogue("en")
    unknown = set()
    for path in modules():
        for node in ast.walk(parse(path)):
            if not isinstance(node, ast.Call) or not node.args:
                continue
            called = getattr(node.func, "id", getattr(node.func, "attr", ""))
            owner = getattr(getattr(node.func, "value", None), "id", "messages")
            first = node.args[0]
            if (
                called == "text"
                and owner == "messages"
                and isinstance(first, ast.Constant)
                and first.value not in known
            ):
                unknown.add(f"{path.name}: {first.value}")
    assert unknown == set()


def helps(command, path="gateway"):
    for part in [command, *command.params]:
        said = getattr(part, "help", None)
        if said and part.name != "help" and not getattr(command, "hidden", False):
            yield path, said
    for name, below in getattr(command, "commands", {}).items():
        yield from helps(below, f"{path} {name}")


def test_every_help_is_a_text_in_both_languages():
    known = catalogue("en")
    said = list(helps(get_command(application())))
    assert said
    assert [(path, msgid) for path, msgid in said if msgid not in known] == []
