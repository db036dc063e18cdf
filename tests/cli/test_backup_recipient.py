"""What `gateway backup recipient` does is shown by test_backup.py on a gateway that is served; here: not without one."""

import json

from gateway.config.home import Home
from tests.cli.small_admin import cli


def test_a_private_key_is_written_once_and_never_over_another(tmp_path, capsys) -> None:
    file = tmp_path / "key"
    assert cli("backup", "recipient", "new", str(file), "--json") == 0
    made, key = json.loads(capsys.readouterr().out), file.read_text()
    assert key.startswith("AGE-SECRET-KEY-1")
    assert made["recipient"].startswith("age1")
    assert key.strip() not in json.dumps(made)


def test_a_gateway_that_is_not_served_takes_nobody(founded: Home, capsys) -> None:
    words = ("backup", "recipient", "add", str(founded.root), "x", "age1x", "--json")
    assert cli(*words) == 3
    assert json.loads(capsys.readouterr().out)["refused"] == "NOT_SERVED"
