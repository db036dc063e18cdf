import os

import pytest

from gateway.cli import host
from gateway.cli.output import UNAVAILABLE, CommandError
from gateway.config.confinement import ConfinementError


def test_a_home_that_nobody_serves_is_told_so(tmp_path):
    (tmp_path / "run").mkdir()
    with pytest.raises(CommandError) as told:
        host.place(tmp_path)
    assert (told.value.code, told.value.status) == ("NOT_SERVED", UNAVAILABLE)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_another_users_home_is_refused(tmp_path):
    os.chown(tmp_path, 65534, 65534)
    with pytest.raises(ConfinementError, match="run as that user"):
        host.place(tmp_path)
