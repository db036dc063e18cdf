"""`gateway audit verify` anywhere: what is proven alone, by a witness, by the quorum; in both languages."""

import json
from pathlib import Path

import pytest

from gateway.messages.texts import catalogue
from gateway.tlog import note
from tests.audit.folder import SIGNER, cosigned, leaf, quorum, signed, write
from tests.audit.test_verify import DAMAGES, pruned
from tests.cli.small_admin import cli

ENTRIES = [leaf(i) for i in range(600)]


def verified(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, dict[str, object]]:
    capsys.readouterr()
    status = cli("audit", "verify", *words, "--json")
    found = json.loads(capsys.readouterr().out)
    assert isinstance(found, dict)
    return status, found


def test_verify_tells_what_is_proven(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = str(write(tmp_path / "log", ENTRIES))
    status, found = verified(capsys, folder)
    assert status == 0
    assert (found["verified"], found["size"], found["key_from"]) == (True, 600, "folder")
    assert found["decisions"] == {"allow": 600}
    assert found["failures"] == []
    assert cli("audit", "verify", folder, "--lang", "en") == 0
    assert "Verified: every entry" in capsys.readouterr().out
    assert cli("audit", "verify", folder, "--lang", "zh") == 0
    assert "验证通过" in capsys.readouterr().out


def test_verify_with_a_key_and_checkpoints_from_elsewhere(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = str(write(tmp_path / "log", ENTRIES))
    key, older = tmp_path / "key", tmp_path / "older"
    key.write_text(f"{SIGNER.verifier}\n")
    older.write_text(signed(ENTRIES[:77]))
    status, found = verified(capsys, folder, "--key", str(key), "--checkpoint", str(older))
    assert (status, found["older_sizes"], found["key_from"]) == (0, [77], "option")
    older.write_text(signed(ENTRIES[1:78]))
    status, found = verified(capsys, folder, "--checkpoint", str(older))
    assert (status, codes(found)) == (1, ["HISTORY_DIFFERS"])
    key.write_text(str(note.Signer("other/log", bytes(32)).verifier))
    status, found = verified(capsys, folder, "--key", str(key))
    assert (status, codes(found)) == (1, ["SIGNATURE_MISSING"])
    key.write_text("nonsense")
    assert verified(capsys, folder, "--key", str(key))[1]["refused"] == "KEY_INVALID"


def codes(found: dict[str, object]) -> list[str]:
    failures = found["failures"]
    assert isinstance(failures, list)
    return [each["code"] for each in failures]


@pytest.mark.parametrize("name", DAMAGES)
def test_every_damage_ends_with_status_1_and_its_code(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    change, expected = DAMAGES[name]
    folder = write(tmp_path / "log", ENTRIES)
    change(folder)
    status, found = verified(capsys, str(folder))
    assert (status, codes(found), found["verified"]) == (1, expected, False)
    assert cli("audit", "verify", str(folder), "--lang", "zh") == 1
    out = capsys.readouterr().out
    assert expected[0] in out
    assert catalogue("zh")[f"audit.code.{expected[0]}"] in out
    assert "验证未通过" in out
    # The particulars are English: --json has them for everybody, the Chinese table has not.
    messages = [one["message"] for one in found["failures"]]
    assert not [one for one in messages if one in out]


def test_a_profile_brings_key_and_checkpoint(
    profile: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The log of the small gateway's profile is another one: its key signed nothing here."""
    folder = write(tmp_path / "log", ENTRIES)
    status, found = verified(capsys, str(folder), "-p", str(profile))
    assert (status, found["key_from"]) == (1, "profile")
    assert codes(found)[0] == "SIGNATURE_MISSING"


def test_a_folder_without_key(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, found = verified(capsys, str(tmp_path))
    assert (status, found["refused"]) == (2, "KEY_INVALID")


def test_what_is_proven_alone_by_a_witness_and_by_the_quorum(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, policy = write(tmp_path / "log", ENTRIES), tmp_path / "policy"
    (folder / "cosigned").mkdir()
    (folder / "cosigned" / "500").write_text(cosigned(ENTRIES[:500], 1))
    (folder / "cosigned" / "300").write_text(cosigned(ENTRIES[:300], 1, 2))
    policy.write_text(quorum(2, 1, 2).text())
    status, found = verified(capsys, str(folder), "--policy", str(policy))
    assert (status, found["policy_from"]) == (0, "option")
    when = "2026-09-21T14:13:20.000000Z"
    one, both = ["city1.invalid/witness"], ["city1.invalid/witness", "city2.invalid/witness"]
    assert found["one_witness"] == {"size": 500, "time": when, "witnesses": one}
    assert found["quorum"] == {"size": 300, "time": when, "witnesses": both}
    assert cli("audit", "verify", str(folder), "--policy", str(policy), "--lang", "en") == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "By the log's own key alone: 600 entries" in out
    assert f"By at least one witness: 500 entries, seen at {when} by city1.invalid/witness" in out
    assert f"By the quorum: 300 entries, seen at {when}" in out
    assert "Of the last 100 entries nobody outside holds a proof" in out
    # The folder's own policy tells the same, and is said to be the folder's own.
    (folder / "witness-policy").write_text(quorum(2, 1, 2).text())
    status, found = verified(capsys, str(folder))
    assert (status, found["policy_from"]) == (0, "folder")
    # Stripped of its cosignatures the folder fails whoever brings the policy.
    (folder / "cosigned" / "300").unlink()
    status, found = verified(capsys, str(folder), "--policy", str(policy))
    assert (status, codes(found), found["quorum"]) == (1, ["QUORUM_MISSING"], None)
    assert cli("audit", "verify", str(folder), "--policy", str(policy), "--lang", "zh") == 1
    assert "法定见证：无" in capsys.readouterr().out
    policy.write_text("quorum")
    status, found = verified(capsys, str(folder), "--policy", str(policy))
    assert (status, found["refused"]) == (2, "POLICY_FORM")


def test_entries_that_were_left_out_are_accepted_by_whoever_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = str(pruned(tmp_path / "log", b"512\n", 2))
    status, found = verified(capsys, folder)
    assert (status, codes(found)) == (1, ["ENTRIES_PRUNED"])
    status, found = verified(capsys, folder, "--minimum-index", "512")
    assert (status, found["minimum_index"], found["decisions"]) == (0, 512, {"allow": 88})
    assert found["entries_seen"] == 88
    assert cli("audit", "verify", folder, "--minimum-index", "512", "--lang", "en") == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "512 entries are not in the folder" in out
    assert "Of these, 512 by their hashes only" in out
    assert "every entry, every tile" not in out
    assert cli("audit", "verify", folder, "--minimum-index", "512", "--lang", "zh") == 0
    assert "有 512 条不在目录中" in capsys.readouterr().out
