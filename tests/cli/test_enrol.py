import asyncio
import contextlib
import hashlib
import io
import json
import ssl
import threading

import pytest

from gateway.client import profile as profiles
from tests.cli.small_admin import CODE, SmallAdmin, cli, served
from tests.client.small_gateway import SPIFFE_ID, make_papers


@contextlib.contextmanager
def listening(gateway, **options):
    """Serve the enrolment listener from a thread; gives the port."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    listener = gateway.enrolling(**options)
    try:
        yield asyncio.run_coroutine_threadsafe(listener.__aenter__(), loop).result(10)
    finally:
        asyncio.run_coroutine_threadsafe(listener.__aexit__(None, None, None), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


@pytest.fixture
def gateway():
    with served(SmallAdmin()) as found:
        found.codes = {CODE: None}
        yield found


def line(gateway, port):
    der = ssl.PEM_cert_to_DER_cert(gateway.papers.root.decode())
    return f"gateway://127.0.0.1:{port}/gateway.test/{CODE}/{hashlib.sha256(der).hexdigest()}"


def enrol(folder, text, *words):
    return cli("enrol", text, "-p", str(folder), *words)


def test_one_command_makes_a_profile_and_again_changes_nothing(gateway, tmp_path, capsys):
    folder = tmp_path / "p"
    with listening(gateway) as port:
        assert enrol(folder, line(gateway, port), "--json") == 0
        told = json.loads(capsys.readouterr().out)
        assert (told["subject"], told["before"]) == (SPIFFE_ID, False)
        assert enrol(folder, line(gateway, port), "--lang", "en") == 0
        assert "nothing was changed" in capsys.readouterr().out
    assert profiles.load(folder).remote.account == told["account"]
    assert gateway.enrolments == 1


def test_the_invitation_can_be_piped_in(gateway, tmp_path, capsys, monkeypatch):
    with listening(gateway) as port:
        monkeypatch.setattr("sys.stdin", io.StringIO(line(gateway, port) + "\n"))
        assert cli("enrol", "-p", str(tmp_path / "p"), "--lang", "zh") == 0
    assert "登记完成" in capsys.readouterr().out


def test_another_root_is_told_as_what_it_is(gateway, tmp_path, capsys):
    with listening(gateway, papers=make_papers()) as port:
        assert enrol(tmp_path / "p", line(gateway, port), "--json") == 1
    assert json.loads(capsys.readouterr().out)["refused"] == "PIN_MISMATCH"
    assert gateway.enrolments == 0


def test_a_pending_approval_prints_the_fingerprint_in_both_languages(gateway, tmp_path, capsys):
    gateway.pending = True
    folder = tmp_path / "p"
    with listening(gateway) as port:
        assert enrol(folder, line(gateway, port), "--lang", "en") == 3
        shown = capsys.readouterr().err
        assert "APPROVAL_PENDING" in shown
        assert "second officer" in shown
        assert "另一名管理人员" in shown
        spki = gateway.codes[CODE].hex()
        assert f"{spki[:4]}:{spki[4:8]}:" in shown
        gateway.pending = False
        assert enrol(folder, line(gateway, port), "--account", "li") == 0
    assert profiles.load(folder).remote.account == "li"


@pytest.mark.parametrize("text", ["gateway://h:1/d", "nonsense"])
def test_what_is_no_invitation_is_wrong_usage(tmp_path, capsys, text):
    assert enrol(tmp_path / "p", text, "--json") == 2
    assert json.loads(capsys.readouterr().out)["refused"] == "INVITATION_INVALID"


def test_nobody_there_can_be_tried_again(tmp_path, capsys):
    text = f"gateway://127.0.0.1:1/gateway.test/{CODE}/{'0' * 64}"
    assert enrol(tmp_path / "p", text, "--timeout", "2", "--json") == 3
    assert json.loads(capsys.readouterr().out)["refused"] == "FRONT_AWAY"
