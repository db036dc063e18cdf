import hashlib
import json
import re

import pytest

from gateway.cli.main import application, run
from gateway.config.home import Home
from gateway.config.users import separate
from gateway.store import versions
from gateway.store.embedded import Cluster
from gateway.supervise import state


def status(capsys, home: Home, *words: str) -> str:
    with pytest.raises(SystemExit) as ended:
        run(application("status"), ["status", str(home.root), *words])
    assert ended.value.code == 0
    told: str = capsys.readouterr().out
    return told


def test_a_gateway_that_is_not_served(founded: Home, capsys) -> None:
    told = json.loads(status(capsys, founded, "--json"))
    assert (told["served"], told["processes"]) == (False, {})
    assert told["separation"] == ("strong" if separate() else "weak")
    assert told["origin"] == "weak"
    assert told["offline_keys"] == "here"
    assert told["database"] == {"state": "away"}
    assert told["days_left"].keys() == {"root", "client-authority", "server"}
    assert 0 < told["crl_hours_left"] <= 24
    assert (told["crl_state"], told["crl_age_hours"]) == ("good", 0)
    assert not [one for one in told["secrets_late"] if one["kind"] == "signer-key"]


def test_with_its_database_it_tells_the_log_and_the_passwords(founded: Home, capsys) -> None:
    cluster = Cluster(founded)
    cluster.start(mortal=True)
    try:
        told = json.loads(status(capsys, founded, "--json"))["database"]
        english = status(capsys, founded, "--lang", "en")
        chinese = status(capsys, founded, "--lang", "zh")
    finally:
        cluster.stop()
    assert (told["state"], told["schema"]) == ("embedded", versions.newest())
    assert told["log_size"] >= 1
    assert (told["accounts"], told["passwords_one_time"]) == (1, 1)
    # Other tests of this worker may have had more issued in the same HOME.
    assert told["certificates"] >= 1
    assert (told["expiring"], told["lineages_locked"], told["invitations_open"]) == ([], [], 0)
    assert "is not served" in english
    assert "one-time" in english
    assert "未在服务" in chinese
    assert "status." not in english + chinese
    # Before all else, whichever way it is read: an officer must not overlook it.
    assert english.splitlines()[1].startswith("!! ORIGIN IS WEAK")
    assert chinese.splitlines()[1].startswith("！！来源为弱")
    assert told["tunnels"].keys() == {"active", "overlapping", "due", "unused"}


def test_a_profile_that_comes_is_told_before_its_day(founded: Home, capsys) -> None:
    ruling = json.loads(status(capsys, founded, "--json"))["password_profile"]
    folder = founded.policies / "passwords"
    text = (folder / "mlps3-2019-12-01.toml").read_text().replace("2019-12-01T", "2099-01-01T")
    added = folder / "mlps3-2099-01-01.toml"
    added.write_text(text)
    try:
        told = json.loads(status(capsys, founded, "--json"))
        english = status(capsys, founded, "--lang", "en")
        chinese = status(capsys, founded, "--lang", "zh")
    finally:
        added.unlink()
    digest = hashlib.sha256(text.encode()).hexdigest()
    coming = {"name": "mlps3", "valid_from": "2098-12-31T16:00:00.000000Z", "sha256": digest}
    assert told["password_profiles_coming"] == [coming]
    assert told["password_profile"] == ruling
    assert "mlps3 rules from 2098-12-31T16:00:00.000000Z on" in english
    assert "mlps3 自 2098-12-31T16:00:00.000000Z 起生效" in chinese


def test_the_packet_filter_is_told_as_the_supervisor_saw_it(
    founded: Home, capsys, monkeypatch
) -> None:
    assert json.loads(status(capsys, founded, "--json"))["wall"] is None
    packets = {"bypass": 4, "outside": 5, "spoofed": 6}
    wall = {"table": "inet gateway_wall", "state": "standing", "cause": "", "packets": packets}
    monkeypatch.setattr(state, "is_served", lambda _: True)
    monkeypatch.setattr(state, "read", lambda _: {"children": {}, "wall": wall})
    assert json.loads(status(capsys, founded, "--json"))["wall"] == wall
    told = status(capsys, founded, "--lang", "en")
    assert "packet filter inet gateway_wall: stands" in told
    assert re.findall(r"\b[456]\b(?= packets| to the| with)", told) == ["4", "5", "6"]
    wall |= {"state": "down", "cause": "gone", "packets": {}}
    assert "!! PACKET FILTER inet gateway_wall DOES NOT STAND (gone)" in status(
        capsys, founded, "--lang", "en"
    )
    assert "！！报文过滤 inet gateway_wall 失效（gone）" in status(capsys, founded, "--lang", "zh")


def test_who_is_late_is_told(founded: Home, capsys) -> None:
    path = founded.policies / "rotation.toml"
    before = path.read_text()
    # Whatever its age, a key of a millionth of a day is late.
    path.write_text(before.replace("signer_key_days = 365.0", "signer_key_days = 0.000001"))
    try:
        told = json.loads(status(capsys, founded, "--json"))["secrets_late"]
        english = status(capsys, founded, "--lang", "en")
        chinese = status(capsys, founded, "--lang", "zh")
    finally:
        path.write_text(before)
    assert ("signer-key", "replace") in [(one["kind"], one["step"]) for one in told]
    assert "late: log signer's key log of host: replace (operator)" in english
    assert "逾期" in chinese


def test_another_users_gateway_is_refused(founded: Home, capsys, monkeypatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 65_533)
    with pytest.raises(SystemExit) as ended:
        run(application("status"), ["status", str(founded.root), "--json"])
    assert ended.value.code == 2
    assert json.loads(capsys.readouterr().out)["refused"] == "USER_WRONG"
