"""Every command is in the list of acts, and the list is true of what it names: rpcs, kinds, tests."""

import re

from typer.core import TyperGroup
from typer.main import get_command

from gateway.cli import acts
from gateway.cli.acts import ACTS, Door, Leaf
from gateway.cli.main import application
from gateway.config.home import LISTENERS
from gateway.services import contract
from tests.house.tree import GATEWAY, ROOT


def commands(group=None, words=()):
    """The words of every command of the program."""
    for name, command in (group or get_command(application())).commands.items():
        if isinstance(command, TyperGroup):
            yield from commands(command, (*words, name))
        else:
            yield " ".join((*words, name))


def test_every_command_says_what_the_log_is_told_of_it():
    assert sorted(commands()) == sorted(ACTS)


def test_the_rpcs_and_tests_it_names_are_there():
    rpcs = {rpc.name for door in LISTENERS for rpc in contract.rpcs(door).values()}
    source = "".join(path.read_text(encoding="utf-8") for path in GATEWAY.rglob("*.py"))
    for command, told in ACTS.items():
        if isinstance(told, Door):
            assert told.rpcs, command
            assert set(told.rpcs) <= rpcs, command
        if isinstance(told, Leaf):
            text = (ROOT / told.test).read_text(encoding="utf-8")
            for kind in told.kinds:
                word = kind.removesuffix("*")
                assert f'"{word}' in source or f'f"{word}' in source, kind
                assert kind.endswith("*") or word in text, f"{told.test} does not look for {kind}"


def test_what_acts_on_the_host_is_in_it_as_such():
    """Whatever calls host.act or host.acted has its leaf's kind in the list, and nothing else has an act's."""
    listed = {kind for told in ACTS.values() if isinstance(told, Leaf) for kind in told.kinds}
    for path in sorted((GATEWAY / "cli").glob("*.py")):
        text = path.read_text(encoding="utf-8")
        if path.stem != "host" and re.search(r"host\.act(?:ed)?\(", text):
            kinds = set(re.findall(r'(?:kind=|KIND = |KIND\b = |REGISTER = )"([a-z.]+)"', text))
            assert kinds <= listed, (path.name, kinds - listed)


def test_no_act_is_an_act():
    assert {told for told in ACTS.values() if told is acts.NONE} == {acts.NONE}
