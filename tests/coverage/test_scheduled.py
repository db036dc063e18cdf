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
    "Founding.look": ("secret.made", "tests/audit/test_subjects.py"),
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
    "backups": ("backup.late", "tests/supervise/test_backups.py"),
    "wall": ("origin.wall", "tests/supervise/test_wall.py"),
    "untold": ("audit.export", "tests/supervise/test_untold.py"),
    # No acts of their own: what they carry on was told when it was decided, or is told by others.
    "journal": ("", "tests/supervise/test_journal.py"),
    "policies": ("", "tests/supervise/test_policies.py"),
    "revocations": ("", "tests/supervise/test_revocation.py"),
    "tunnels": ("", "tests/vpn/test_window.py"),
}
# By the watch of the front, as its source calls it.
OF_THE_FRONT = {
    "connections.watch": ("connection.cut", "tests/coverage/test_refused_connections.py"),
    "connections.watch_tunnels": ("connection.cut", "tests/coverage/test_refused_connections.py"),
    "self._tell_late": ("crl.late", "tests/front/test_lateness.py"),
    # A new list or certificate was told when it was signed; a device that is gone ends the front: process.restarted.
    "self._renew": ("", "tests/front/test_connections.py"),
    "ingress.stays": ("", "tests/vpn/test_ingress.py"),
}
# By the loop of every recorder.
OF_A_RECORDER = {
    "recorder._sign": ("", "tests/audit/test_recorder.py"),
    "recorder._tell_floods": ("suppressed", "tests/audit/test_floods.py"),
    "recover": ("log.recover", "tests/audit/test_recovery.py"),
    "recorder._lane": ("log.clock", "tests/audit/test_recorder.py"),
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


def test_every_watch_of_the_front_is_known():
    source = (GATEWAY / "front/listener.py").read_text(encoding="utf-8")
    began = source.split("self._watches = [", 1)[1].split("]", 1)[0]
    assert set(re.findall(r"create_task\(([\w.]+)\(", began)) == set(OF_THE_FRONT)


def test_every_loop_of_a_recorder_is_known():
    source = (GATEWAY / "audit/recorder.py").read_text(encoding="utf-8")
    began = "".join(re.findall(r"loops \+?= (\[.*\])", source))
    assert set(re.findall(r"([\w.]+)\(\w*\)", began)) - {"range"} == set(OF_A_RECORDER)


@pytest.mark.parametrize(
    ("kind", "file"),
    sorted(
        {
            *OF_DOORS.values(),
            *OF_THE_SUPERVISOR.values(),
            *OF_THE_FRONT.values(),
            *OF_A_RECORDER.values(),
        }
    ),
)
def test_its_kind_and_its_tests_are_there(kind, file):
    source = "".join(path.read_text(encoding="utf-8") for path in GATEWAY.rglob("*.py"))
    assert f'"{kind}"' in source
    assert "def test_" in (ROOT / file).read_text(encoding="utf-8")
