"""`gateway audit export` on the host and `gateway audit verify` anywhere, in both languages."""

import json
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from gateway import signer
from gateway.config.home import Home
from gateway.config.settings import Settings
from gateway.messages.texts import catalogue
from gateway.tlog import note
from gateway.tlog.checkpoint import Checkpoint
from gateway.tlog.growth import Claim
from gateway.tlog.merkle import leaf_hash, root_of
from tests.audit.folder import SIGNER, leaf, signed, write
from tests.audit.test_log import damage
from tests.audit.test_verify import DAMAGES
from tests.cli.small_admin import cli

Conninfo = Callable[[str], str]
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


@pytest.fixture
def home(
    database_home: Home, database_settings: Settings, tmp_path: Path, conninfo: Conninfo
) -> Home:
    """A HOME with a signer that has signed the 600 entries of the test's database."""
    made = Home(tmp_path / "home")
    made.public.mkdir(parents=True)
    made.secrets("signer").mkdir(parents=True)
    (made.root / "secrets" / "database").symlink_to(database_home.password_file("owner").parent)
    made.settings.write_text(f"dsn = {json.dumps(database_settings.dsn)}\n")
    signer.create(made, "gateway.invalid/audit")
    with psycopg.connect(conninfo("intake")) as connection:
        connection.execute("SELECT gateway.audit_append(%s, 0)", (ENTRIES,), binary=True)
    sign(made, ENTRIES)
    return made


def sign(home: Home, entries: list[bytes]) -> None:
    memory = signer.Memory.load(home)
    hashes = [leaf_hash(each) for each in entries]
    claim = Claim(0, len(entries), root_of(hashes), b"".join(hashes))
    assert memory.answer([claim]) == [{"checkpoint": memory.checkpoint}]


def test_export_and_verify(home: Home, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "exported"
    assert cli("audit", "export", str(home.root), str(folder), "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found == {"folder": str(folder), "size": 600, "log_size": 600, "missing": []}
    assert verified(capsys, str(folder), "--key", str(home.log_key))[0] == 0
    assert cli("audit", "export", str(home.root), str(folder), "--lang", "en") == 0
    assert "Exported 600 entries" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("sql", "status", "code"),
    [
        (
            "UPDATE gateway.audit_entry SET leaf = '{}'::text::bytea WHERE idx = 5",
            0,
            "ENTRY_DIFFERS",
        ),
        ("DELETE FROM gateway.audit_entry WHERE idx >= 550", 1, "BUNDLE_SHORT"),
    ],
)
def test_an_edited_and_a_truncated_log_are_exported_and_found_out(
    home: Home, tmp_path: Path, conninfo: Conninfo, cluster: object, capsys: pytest.CaptureFixture[str],
    sql: str, status: int, code: str,
) -> None:  # fmt: skip
    damage(conninfo, cluster, sql)
    folder = str(tmp_path / "exported")
    assert cli("audit", "export", str(home.root), folder, "--lang", "en") == status
    assert ("no longer holds all" in capsys.readouterr().out) is bool(status)
    ended, found = verified(capsys, folder)
    assert ended == 1
    assert code in codes(found)


def test_export_refuses_a_folder_of_something_else(
    home: Home, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli("audit", "export", str(home.root), str(tmp_path), "--json") == 2
    assert json.loads(capsys.readouterr().out)["refused"] == "FOLDER_EXISTS"


def test_export_without_the_signers_state(
    home: Home, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (home.secrets("signer") / signer.STATE_FILE).unlink()
    assert cli("audit", "export", str(home.root), str(tmp_path / "exported"), "--json") == 1
    assert json.loads(capsys.readouterr().out)["refused"] == "CHECKPOINT_MISSING"


def test_the_signed_root_is_that_of_the_entries(home: Home) -> None:
    stored = signer.stored_checkpoint(home)
    assert stored is not None
    assert (
        Checkpoint("gateway.invalid/audit", 600, root_of([leaf_hash(e) for e in ENTRIES])).text()
        in stored
    )
