import os
from pathlib import Path

import pytest

from gateway.config.home import Home
from gateway.supervise import state
from gateway.supervise.state import AlreadyServedError


@pytest.fixture
def home(tmp_path: Path) -> Home:
    (tmp_path / "run").mkdir()
    return Home(tmp_path)


def test_only_one_serves_and_its_end_frees_the_home(home: Home) -> None:
    assert state.is_served(home) is False
    with state.sole(home):
        assert state.is_served(home) is True
        assert home.supervisor_pid.read_text() == f"{os.getpid()}\n"
        with (
            pytest.raises(AlreadyServedError, match=f"served by process {os.getpid()}"),
            state.sole(home),
        ):
            pass
    assert state.is_served(home) is False
    with state.sole(home):
        pass


def test_status_is_replaced_whole(home: Home) -> None:
    assert state.read(home) is None
    state.write(home, {"a": 1})
    state.write(home, {"b": 2})
    assert state.read(home) == {"b": 2}
    assert [path.name for path in (home.root / "run").iterdir()] == ["status.json"]
    home.supervisor_status.write_text("{")
    assert state.read(home) is None
    home.supervisor_status.write_text("[]")
    assert state.read(home) is None
