"""`gateway audit compare|contradiction`: checkpoints of cities beside one another; what contradicts becomes a proof."""

import json
from pathlib import Path

import pytest

from tests.cli.small_admin import SmallAdmin, cli, served
from tests.client.small_gateway import Log
from tests.client.test_alarm import fork_of
from tests.client.test_checkpoints import log_of


@pytest.fixture
def small():
    gateway = SmallAdmin()
    log_of(30, gateway.log)
    with served(gateway) as running:
        yield running


def written(tmp_path: Path, *notes: str) -> list[str]:
    paths = [tmp_path / f"city-{number}" for number in range(len(notes))]
    for path, note in zip(paths, notes, strict=True):
        path.write_text(note)
    return [str(path) for path in paths]


def run(capsys, *words: str, status: int = 0):
    assert cli("audit", *words, "--json") == status
    return json.loads(capsys.readouterr().out)


def key(tmp_path: Path, log: Log) -> list[str]:
    (tmp_path / "log.vkey").write_text(f"{log.signer.verifier}\n")
    return ["--key", str(tmp_path / "log.vkey")]


def test_cities_of_one_log_and_what_is_left_to_ask(small, told, said, tmp_path):
    files = written(
        tmp_path, small.log.checkpoint(7), small.log.checkpoint(7), small.log.checkpoint(12)
    )
    assert told("audit", "compare", *files[:2]) == {"compared": 2, "unproven_sizes": 0}
    assert told("audit", "compare", *files) == {"compared": 3, "unproven_sizes": 1}
    assert "--online" in said("audit", "compare", *files)
    assert told("audit", "compare", *files, "--online") == {"compared": 3, "unproven_sizes": 0}


def test_a_split_view_is_proven_offline(tmp_path, capsys):
    """Two cities, one size, two roots: the file needs no gateway."""
    log = log_of(20)
    files = written(
        tmp_path, log.checkpoint(9), fork_of(log, 5, 9).checkpoint(), log.checkpoint(12)
    )
    trusted = key(tmp_path, log)
    proof = str(tmp_path / "proof.json")
    found = run(capsys, "compare", *files, *trusted, "--out", proof, status=1)
    assert found["refused"] == "LOG_CONTRADICTED"
    judged = run(capsys, "contradiction", proof, *trusted)
    assert (judged["finding"], judged["proven"]) == ("fork", True)
    assert judged["older"]["root"] != judged["newer"]["root"]
    again = run(capsys, "compare", *files, *trusted, "--out", proof, status=2)
    assert again["refused"] == "FILE_EXISTS"


def test_a_past_that_was_rewritten_is_proven_by_the_gateways_own_answer(
    small, told, profile, tmp_path, capsys
):
    # This officer's client has seen neither log.
    (profile / "checkpoints-unproven").unlink()
    proof = tmp_path / "proof.json"
    log, small.log = small.log, fork_of(small.log, 5, 30)
    files = written(tmp_path, log.checkpoint(11), small.log.checkpoint(20))
    found = told("audit", "compare", *files, "--online", "--out", str(proof), status=1)
    assert found["refused"] == "LOG_CONTRADICTED"
    judged = run(capsys, "contradiction", str(proof), *key(tmp_path, log))
    assert (judged["finding"], judged["older"]["size"]) == ("rewritten", 11)


def test_a_log_that_was_rolled_back_says_so_itself(small, told, profile, tmp_path):
    (profile / "checkpoints-unproven").unlink()
    files = written(tmp_path, small.log.checkpoint(11), small.log.checkpoint(29))
    small.log = fork_of(small.log, 11, 20)
    assert told("audit", "compare", *files, "--online", status=1)["refused"] == "LOG_SHRANK"


def test_what_proves_nothing(tmp_path, capsys):
    log, thief = log_of(20), log_of(20, Log())
    trusted = key(tmp_path, log)
    [foreign] = written(tmp_path, thief.checkpoint(9))
    assert run(capsys, "compare", foreign, *trusted, status=1)["refused"] == "SIGNATURE_MISSING"
    assert run(capsys, "compare", foreign, status=2)["refused"] == "KEY_INVALID"
    assert run(capsys, "contradiction", foreign, *trusted, status=1)["refused"] == "FILE_FORM"
    one, other = written(tmp_path, log.checkpoint(9), log.checkpoint(12))
    online = run(capsys, "compare", one, other, *trusted, "--online", status=2)
    assert online["refused"] == "PROFILE_MISSING"
    made_up = tmp_path / "made-up.json"
    document = {
        "format": "gateway/contradiction/v1",
        "key": str(log.signer.verifier),
        "successions": [],
        "older": log.checkpoint(9),
        "newer": log.checkpoint(12),
        "hashes": [],
    }
    made_up.write_text(json.dumps(document))
    judged = run(capsys, "contradiction", str(made_up), *trusted, status=1)
    assert (judged["finding"], judged["proven"]) == ("unproven", False)
    document["key"] = str(thief.signer.verifier)
    made_up.write_text(json.dumps(document))
    assert run(capsys, "contradiction", str(made_up), *trusted, status=1)["refused"] == "KEY_OTHER"
