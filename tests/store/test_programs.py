"""The wheel's programs, unless the settings name those of another's server."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.config import users
from gateway.config.settings import Settings
from gateway.store import programs
from gateway.store.tools import MAJOR, ToolError, Tools


def test_the_wheels_are_run_unless_settings_name_others(cluster, tmp_path: Path) -> None:
    wheels = Tools(cluster.home, users.current()).folder
    own = Settings(dsn="host=/nowhere")
    assert programs.talking(cluster.home, own).folder == wheels
    assert programs.talking(cluster.home, replace(own, programs=str(tmp_path))).folder == tmp_path
    # Where the database is ours there is no other server that they could fit.
    assert programs.talking(cluster.home, Settings(programs=str(tmp_path))).folder == wheels
    with pytest.raises(ToolError, match="nowhere"):
        programs.talking(cluster.home, replace(own, programs=str(tmp_path / "nowhere")))


def test_they_say_their_version(cluster, tmp_path: Path) -> None:
    user = users.current()
    assert programs.major(Tools(cluster.home, user)) == MAJOR
    with pytest.raises(ToolError, match="postgres"):
        programs.major(Tools(cluster.home, user, tmp_path))
    (tmp_path / "postgres").write_text("#!/bin/sh\necho something else\n")
    (tmp_path / "postgres").chmod(0o755)
    with pytest.raises(ToolError, match="does not say"):
        programs.major(Tools(cluster.home, user, tmp_path))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root's server is another user")
def test_a_folder_that_the_servers_user_cannot_enter_is_told(cluster, tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    with pytest.raises(ToolError, match="cannot enter"):
        programs.of_folder(cluster.home, users.user_of("postgres"), tmp_path)
