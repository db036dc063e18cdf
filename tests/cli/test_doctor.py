import json

import pytest

from gateway.cli.main import application, run
from gateway.config.home import Home


def doctor(capsys, *words: str) -> tuple[int, str]:
    with pytest.raises(SystemExit) as ended:
        run(application("doctor"), ["doctor", *words])
    assert isinstance(ended.value.code, int)
    return ended.value.code, capsys.readouterr().out


def test_a_healthy_host_and_home(founded: Home, capsys) -> None:
    status, out = doctor(capsys, str(founded.root), "--json")
    told = json.loads(out)
    bad = [one for one in told["findings"] if one["state"] == "bad"]
    assert (status, told["healthy"], bad) == (0, True, [])
    assert all(not one["text"].startswith("doctor.") for one in told["findings"])


def test_what_is_wrong_is_said_with_what_to_do(tmp_path, capsys) -> None:
    status, out = doctor(capsys, str(tmp_path), "--lang", "en")
    assert status == 1
    assert f"- {tmp_path} is no gateway: make one with gateway init" in out
    status, out = doctor(capsys, str(tmp_path), "--lang", "zh")
    assert "gateway init" in out
