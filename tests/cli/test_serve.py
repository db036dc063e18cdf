"""`gateway serve`'s own part; what the supervisor does stands in tests/supervise."""

import json
import subprocess
import sys
from pathlib import Path

import gateway
from gateway.cli.output import Output
from gateway.cli.serve import Teller
from gateway.config.home import Home
from gateway.supervise import state


def serve(home: Home) -> tuple[int, dict[str, str]]:
    """Run it as a process of its own: it takes over signals and logging."""
    done = subprocess.run(
        [sys.executable, "-m", "gateway", "serve", str(home.root), "--json"],
        cwd=Path(gateway.__file__).parent.parent,
        capture_output=True,
        text=True,
        timeout=60,
    )
    return done.returncode, json.loads(done.stdout)


def test_a_second_one_is_refused(founded: Home) -> None:
    with state.sole(founded):
        status, told = serve(founded)
    assert (status, told["refused"]) == (1, "ALREADY_SERVED")


def test_what_does_not_start_is_unavailable(founded: Home) -> None:
    wrong = founded.database / "data" / "local.conf"
    wrong.write_text("no_such_setting = 1\n")
    try:
        status, told = serve(founded)
    finally:
        wrong.unlink()
    assert (status, told["refused"]) == (3, "START_FAILED")
    assert str(founded.logs) in told["message"]


def test_a_folder_that_is_no_home(tmp_path) -> None:
    status, told = serve(Home(tmp_path))
    assert (status, told["refused"]) == (2, "SETTINGS_INVALID")


def test_one_json_document_once_all_serve(capsys, tmp_path) -> None:
    tell = Teller(Output("zh", json=True), Home(tmp_path))
    tell("ready", {"process": "front", "pid": 7})
    tell("serving", {"pid": 8})
    out, err = capsys.readouterr()
    assert json.loads(out)["serving"] == str(tmp_path)
    assert "front：已就绪（进程 7）" in err
