"""The program as it is started: `python -m gateway`."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

import gateway
from gateway import __main__ as program

ROOT = Path(gateway.__file__).parent.parent


def test_help_names_every_noun_and_the_demo(monkeypatch, capsys) -> None:
    monkeypatch.setattr(sys, "argv", ["gateway", "--lang", "zh", "--help"])
    with pytest.raises(SystemExit):
        program.main()
    told = capsys.readouterr().out
    assert all(noun in told for noun in ("init", "serve", "status", "doctor", "upload", "demo"))
    assert "省级" in told
    assert " run " not in told


def test_a_child_imports_no_other_noun() -> None:
    """`run` starts five processes at once on two cores."""
    counted = (
        "import sys; sys.argv = ['gateway', 'run', 'nobody', '/']\n"
        "from gateway.__main__ import main\n"
        "try:\n    main()\n"
        "except SystemExit as end:\n    print(end.code)\n"
        "print(sorted(name for name in sys.modules if name.startswith(('gateway.cli.', 'gateway.demo'))))\n"
    )
    done = subprocess.run([sys.executable, "-c", counted], cwd=ROOT, capture_output=True, text=True)
    status, modules = done.stdout.split("\n", 1)
    assert status == "2"
    assert json.loads(modules.replace("'", '"')) == [
        "gateway.cli.main",
        "gateway.cli.output",
        "gateway.cli.run",
        "gateway.cli.visible",
    ]


def test_the_module_can_be_run() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "gateway", "doctor", "--json"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert json.loads(done.stdout)["healthy"] is True, done.stderr
