"""`gateway audit export` on the host: what it writes is verified, what is not there is told."""

import json
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from gateway import signer
from gateway.config.home import Home
from gateway.config.settings import Settings
from gateway.errors import Reason, UnavailableError
from gateway.supervise import state
from gateway.tlog import note
from gateway.tlog.checkpoint import Checkpoint
from gateway.tlog.growth import Claim
from gateway.tlog.merkle import leaf_hash, root_of
from tests.audit.folder import leaf, witness
from tests.audit.test_log import damage
from tests.cli.small_admin import cli
from tests.cli.test_audit_verify import codes, verified
from tests.cli.test_certificate import hosted

Conninfo = Callable[[str], str]
ENTRIES = [leaf(i) for i in range(600)]


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
    # Nobody serves it: kept for the log.
    [kept] = [json.loads(one.read_text()) for one in home.untold.iterdir()]
    assert kept["kind"] == "audit.export"
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


def test_export_brings_what_witnesses_said(
    home: Home, tmp_path: Path, conninfo: Conninfo, cluster: object, capsys: pytest.CaptureFixture[str]
) -> None:  # fmt: skip
    """Cosignatures of the newest checkpoint stand on it, earlier ones beside it, and the policy too."""
    home.policies.mkdir()
    rules = Path("policies/witnesses.toml").read_text(encoding="utf-8")
    (home.policies / "witnesses.toml").write_text(rules)
    assert "organisations = 1\n" in rules
    newest = signer.stored_checkpoint(home)
    assert newest is not None
    origin = "gateway.invalid/audit"
    older = Checkpoint(origin, 300, root_of([leaf_hash(e) for e in ENTRIES[:300]])).signed(
        note.parse_skey((home.secrets("signer") / "log.skey").read_text().strip())
    )
    with psycopg.connect(conninfo("owner")) as connection:
        connection.execute(
            "INSERT INTO gateway.organisation (code, name, kind, created_us) VALUES ('140100', 'x', 2, 0)"
        )
        key = witness(1).key
        connection.execute(
            "INSERT INTO gateway.witness VALUES (%s, %s, %s, %s, '140100', 0)",
            (str(key), key.public, key.key_id.hex(), key.name),
        )
        for size, each in ((300, older), (600, newest)):
            text = note.split(each)[0]
            connection.execute(
                "INSERT INTO gateway.offered_checkpoint VALUES (%s, %s, 0)", (size, each)
            )
            connection.execute(
                "INSERT INTO gateway.cosignature VALUES (%s, %s, %s, 0, 0)",
                (size, str(key), witness(1).line(text, 1_790_000_000)),
            )
    folder = tmp_path / "exported"
    assert cli("audit", "export", str(home.root), str(folder), "--json") == 0
    assert (folder / "cosigned" / "300").read_text().startswith(older)
    assert not (folder / "cosigned" / "600").exists()
    capsys.readouterr()
    status, found = verified(capsys, str(folder), "--key", str(home.log_key))
    assert (status, found["policy_from"], found["older_sizes"]) == (0, "folder", [300])
    assert found["quorum"] == found["one_witness"]
    assert found["quorum"]["size"] == 600


def test_export_from_an_entry_on(
    home: Home, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "exported"
    assert cli("audit", "export", str(home.root), str(folder), "--from", "300") == 0
    bundles = sorted(one.name for one in (folder / "tile/entries").iterdir())
    assert bundles == ["001", "002.p"]
    assert (folder / "minimum-index").read_text() == "300\n"
    capsys.readouterr()
    assert codes(verified(capsys, str(folder))[1]) == ["ENTRIES_PRUNED"]
    status, found = verified(capsys, str(folder), "--minimum-index", "300")
    assert (status, found["decisions"]) == (0, {"allow": 344})


@pytest.mark.parametrize(("committed", "kept"), [(False, 1), (True, 0)])
def test_the_export_of_a_degraded_log_is_kept_for_it(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, committed: bool, kept: int
) -> None:
    """Not where its leaf is on the log already and only the signature is away."""

    def away(*_: object) -> None:
        error = UnavailableError(Reason.AUDIT_DEGRADED)
        error.committed = committed
        raise error

    monkeypatch.setattr("gateway.cli.host.act", away)
    (home.root / "run").mkdir()
    with state.sole(home):
        assert cli("audit", "export", str(home.root), str(tmp_path / "log"), "--json") == 0
    assert len(list(home.untold.glob("*"))) == kept


def test_an_export_that_cannot_be_kept_for_the_log_is_none(home: Home, tmp_path: Path) -> None:
    home.untold.write_text("in the way")
    with pytest.raises(OSError, match="untold"):
        cli("audit", "export", str(home.root), str(tmp_path / "log"), "--json")
    assert not (tmp_path / "log").exists()


def test_the_export_of_a_served_log_is_told_on_it(
    cluster, database_settings, capsys, tmp_path: Path
) -> None:
    async def work(host, at) -> None:
        done = await host.told("audit", "export", str(at.home.root), str(tmp_path / "log"))
        [leaf] = [one for one in at.leaves() if one["kind"] == "audit.export"]
        assert (leaf["decision"], leaf["door"]) == ("allow", "host")
        assert done["missing"] == []

    hosted(cluster, database_settings, capsys, work)
