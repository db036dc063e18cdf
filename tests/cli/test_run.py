import subprocess
import sys
from pathlib import Path

import pytest

import gateway
from gateway.cli.main import application, run
from gateway.config.home import Home


def test_an_unknown_process_is_wrong_usage(capsys) -> None:
    with pytest.raises(SystemExit) as ended:
        run(application("run"), ["run", "nobody", "/nonexistent"])
    assert ended.value.code == 2
    assert "signer" in capsys.readouterr().err


def test_a_door_whose_database_is_away_ends(founded: Home) -> None:
    """It is the supervisor that tries again."""
    done = subprocess.run(
        [sys.executable, "-m", "gateway", "run", "intake", str(founded.root), "--lang", "en"],
        cwd=Path(gateway.__file__).parent.parent,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode in (2, 3)
