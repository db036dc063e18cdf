"""Starting Python for a user, by path and by descriptors; shown by running it."""

import os
import subprocess
import sys

import pytest

from gateway.config import users
from gateway.config.users import SystemUser
from gateway.supervise import launch
from gateway.supervise.launch import Launch

# Late imports, data beside a module, and giving up what a child gives up.
PROGRAM = """
import os, sys
from gateway.config import confinement, policies
confinement.harden()
import colorsys, cryptography.hazmat.backends.openssl, psycopg
print(os.getuid(), policies.shipped("policies").joinpath("limits.toml").is_file(), psycopg.__file__)
"""


def run(way: Launch, user: SystemUser) -> list[str]:
    apart = users.separate()
    done = subprocess.run(
        [way.interpreter, "-P", "-c", PROGRAM],
        env={"PATH": "/usr/bin:/bin", **way.environment},
        pass_fds=way.descriptors,
        user=user.uid if apart else None,
        group=user.gid if apart else None,
        extra_groups=user.groups if apart else None,
        cwd="/",
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


@pytest.fixture
def user() -> SystemUser:
    if users.separate():
        users.make_users()
    return users.user_of("front")


def test_behind_descriptors_everything_is_found(user, monkeypatch) -> None:
    monkeypatch.setattr(launch, "unreachable", lambda path, _: path)
    with launch.launch(user) as way:
        uid, data, origin = run(way, user)
        held = way.descriptors
    assert (uid, data) == (str(user.uid), "True")
    assert origin.startswith("/proc/self/fd/")
    assert way.interpreter.startswith(f"/proc/self/fd/{held[0]}/")
    for descriptor in held:
        with pytest.raises(OSError):
            os.fstat(descriptor)


def test_what_can_be_reached_is_run_as_it_is(monkeypatch) -> None:
    monkeypatch.setattr(launch, "unreachable", lambda *_: None)
    me = users.current()
    with launch.launch(me) as way:
        assert (way.interpreter, way.descriptors) == (sys.executable, ())
        monkeypatch.setattr(users, "separate", lambda: False)
        uid, data, _ = run(way, me)
    assert (uid, data) == (str(me.uid), "True")
