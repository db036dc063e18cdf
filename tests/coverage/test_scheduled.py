"""Whatever the gateway does by itself is in this list, with the file that looks for its leaf: one act, one leaf.

A chore that somebody adds to a door, or a task to the supervisor, is missing here until its leaf is tested.
"""

import re

import pytest

from gateway.config.home import DOORS
from tests.house.tree import GATEWAY, ROOT
from tests.world import held

# By the class and method that a door runs from time to time, or as long as it serves: a kind of its leaves, and who looks for it.
OF_DOORS = {
    "RunningOut.look": ("breakglass.lapsed", "tests/services/test_break_glass_service.py"),
    "Intake.sweep": ("upload.sweep", "tests/uploads/test_sweep.py"),
    "TunnelDuties.look": ("tunnel.unused", "tests/vpn/test_duties.py"),
    "UnusedAccounts.look": ("account.unused", "tests/identity/test_unused.py"),
    "Succession.look": ("policies.succeed", "tests/attacks/test_tightened_on_its_day.py"),
    "WitnessDuty.look": ("log.unwitnessed", "tests/registry/test_witness_duty.py"),
    "Heartbeat.serve": ("log.heartbeat", "tests/audit/test_heartbeat.py"),
    "Continuity.look": ("export.stop", "tests/exports/test_continuity.py"),
    "Continuity.serve": ("export.stop", "tests/exports/test_continuity.py"),
    "Mover.expire": ("export.expire", "tests/exports/test_moving.py"),
    "Builder.look": ("export.build.end", "tests/exports/test_building.py"),
    "Builder.serve": ("export.build.end", "tests/exports/test_building.py"),
    "Keeper.look": ("export.unacknowledged", "tests/exports/test_keeping.py"),
}
# By the supervisor's name for its task; the keepers of its children besides (process.*).
OF_THE_SUPERVISOR = {
    "rotation": ("secret.rotate", "tests/supervise/test_rotation.py"),
    "disk": ("log.disk", "tests/supervise/test_disk.py"),
    "wall": ("origin.wall", "tests/supervise/test_wall.py"),
    # No acts of their own: what they carry on was told when it was decided, or is told by others.
    "journal": ("", "tests/supervise/test_journal.py"),
    "policies": ("", "tests/supervise/test_policies.py"),
    "revocations": ("", "tests/supervise/test_revocation.py"),
    "tunnels": ("", "tests/vpn/test_window.py"),
}


@pytest.fixture(scope="module")
def province(cluster):
    with held(cluster) as stands:
        yield stands


def test_every_chore_of_every_door_is_known(province):
    running = [province.world.doors[door] for door in DOORS]
    found = {chore.__qualname__ for one in running for chore in (*one.chores, *one.lasting)}
    assert found == set(OF_DOORS)


def test_every_task_of_the_supervisor_is_known():
    source = (GATEWAY / "supervise/supervisor.py").read_text(encoding="utf-8")
    assert set(re.findall(r'_tasks\["(\w+)"\]', source)) == set(OF_THE_SUPERVISOR)


@pytest.mark.parametrize(
    ("kind", "file"), sorted({*OF_DOORS.values(), *OF_THE_SUPERVISOR.values()})
)
def test_its_kind_and_its_tests_are_there(kind, file):
    source = "".join(path.read_text(encoding="utf-8") for path in GATEWAY.rglob("*.py"))
    assert f'"{kind}"' in source
    assert "def test_" in (ROOT / file).read_text(encoding="utf-8")
