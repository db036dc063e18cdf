"""Settings and policies loaded: every file that a process judges by is in a digest that is told at its start.

A reader of files that somebody adds is missing here until it is said what tells of its file.
"""

import ast
import re

from gateway.config import loaded
from gateway.config import settings as settings_file
from gateway.config.home import DOORS
from gateway.config.policies import shipped
from gateway.services.server import open_door
from tests.house.tree import GATEWAY
from tests.world import held

# What reads a table (gateway/config/strict.py), by module, and what tells of the files that it reads: the settings' digest,
# the policies' (each file below their folder), or nothing: they are the program's own, or a client's.
SETTINGS, POLICIES, PROGRAM, CLIENT = "settings", "policies", "program", "client"
READERS = {
    "backups/pointing.py": SETTINGS,
    "cli/export_request.py": CLIENT,
    "client/profile.py": CLIENT,
    "config/activation.py": POLICIES,
    "config/backups.py": POLICIES,
    "config/disk.py": POLICIES,
    "config/exports.py": POLICIES,
    "config/policies.py": POLICIES,
    "config/rotation.py": POLICIES,
    "config/settings.py": SETTINGS,
    "config/witnesses.py": POLICIES,
    "identity/rule_files.py": POLICIES,
    "pki/profile.py": PROGRAM,
    "policy/cases.py": POLICIES,
    "policy/mutation.py": POLICIES,
    "records/tables.py": POLICIES,
}
# Who starts, and where it tells what it loaded; the signer, PostgreSQL and the backups' commands judge nobody.
TOLD_BY = {
    "services/server.py": "policies.load",
    "front/listener.py": "policies.load",
    "supervise/supervisor.py": "process.started",
}


def reads(path) -> bool:
    """Whether a module reads or parses a table itself."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    direct = {
        alias.asname or alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module == "gateway.config.strict"
        for alias in node.names
    }
    called = {ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    return bool(
        called & (direct & {"read", "parse"})
        or called & {"strict.read", "strict.parse"}
        or any(one.startswith("tomllib.") for one in called)
    )


def test_every_reader_of_tables_is_known():
    found = {
        str(path.relative_to(GATEWAY))
        for path in GATEWAY.rglob("*.py")
        if path != GATEWAY / "config/strict.py" and reads(path)
    }
    assert found == set(READERS)


def test_every_file_of_policies_is_in_the_digest():
    folder = shipped("policies")
    told = loaded.files(folder)["policy_files"]
    for path in folder.rglob("*"):
        if path.is_file():
            assert f"{path.relative_to(folder).as_posix()}=" in told
    # What a reader names lies there, too.
    for module, what in READERS.items():
        text = (GATEWAY / module).read_text(encoding="utf-8")
        named = {
            node.value
            for node in ast.walk(ast.parse(text))
            if isinstance(node, ast.Constant)
            and isinstance(node.value, str)
            and re.fullmatch(r"[a-z]+\.toml", node.value)
        }
        if what == POLICIES:
            there = {path.name for path in folder.rglob("*.toml")}
            assert named <= there, module


def test_everybody_who_starts_tells_it():
    for module, kind in TOLD_BY.items():
        text = (GATEWAY / module).read_text(encoding="utf-8")
        assert f'"{kind}"' in text
        assert "loaded.digests(" in text


def test_a_changed_setting_and_a_changed_policy_are_seen_between_two_starts(cluster):
    """Each door tells once at each start, before it serves; what did not change tells the same."""
    with held(cluster) as stands:
        world = stands.world
        first = loads(world)
        assert sorted(first) == sorted(DOORS)
        assert (
            len({(one["settings_sha256"], one["policies_sha256"]) for one in first.values()}) == 1
        )
        begin = world.size()
        (world.home.policies / "disk.toml").write_text(
            (world.home.policies / "disk.toml").read_text() + "# reviewed\n"
        )
        stands.run(restart(world, "intake"))
        second = loads(world, begin)
        assert set(second) == {"intake"}
        assert second["intake"]["settings_sha256"] == first["intake"]["settings_sha256"]
        assert second["intake"]["policies_sha256"] != first["intake"]["policies_sha256"]
        begin = world.size()
        text = world.home.settings.read_text()
        world.home.settings.write_text(text.replace("[front]", "[front]\nidle_timeout_s = 901.0"))
        changed = settings_file.load(world.home.settings)
        stands.run(restart(world, "intake"))
        third = loads(world, begin)
        assert third["intake"]["policies_sha256"] == second["intake"]["policies_sha256"]
        assert third["intake"]["settings_sha256"] != second["intake"]["settings_sha256"]
        assert third["intake"]["settings_sha256"] == loaded.settings_sha256(changed)


async def restart(world, door):
    """The process of a door ends and comes again."""
    await world.doors[door].stop(0)
    world.doors[door] = await open_door(world.home, door, world.clock)


def loads(world, begin=0):
    """What each door told that it loaded; exactly once each."""
    found = [leaf for leaf in world.leaves(begin) if leaf["kind"] == "policies.load"]
    assert len({leaf["door"] for leaf in found}) == len(found)
    return {leaf["door"]: leaf["detail"] for leaf in found}
