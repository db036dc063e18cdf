"""`gateway certificate` on the host: every act has its leaf, and what it does holds at the front at once."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from gateway.cli.main import application, run
from gateway.config.settings import Settings
from gateway.pki import crl, der
from gateway.supervise import state
from tests.audit.stage import until
from tests.front.stage import CITY_AT, Stage, stage
from tests.front.test_listener import _write_settings
from tests.pki.forge import Papers


class Host:
    """Runs `gateway certificate …` beside a front that serves."""

    def __init__(self, at: Stage, capsys: Any) -> None:
        self.at = at
        self._capsys = capsys

    async def told(self, *words: str, status: int = 0) -> Any:
        """Run a command with --json; return what it printed once its exit status is as expected."""
        assert await asyncio.to_thread(_cli, *words, "--json") == status
        return json.loads(self._capsys.readouterr().out)

    async def issue(self, out: Path, *words: str, status: int = 0) -> Any:
        where = ("certificate", "issue", str(self.at.home.root), "--out", str(out))
        return await self.told(*where, "--organisation", "140100", *words, status=status)


def _cli(*words: str) -> int:
    with pytest.raises(SystemExit) as ended:
        run(application(), words)
    return int(ended.value.code or 0)


def hosted(cluster: Any, settings: Settings, capsys: Any, work: Any) -> None:
    async def go() -> None:
        async with stage(cluster, settings) as at:
            _write_settings(at)
            with state.sole(at.home):
                await work(Host(at, capsys), at)

    asyncio.run(go())


def _papers(folder: Path) -> Papers:
    key = serialization.load_pem_private_key((folder / "key.pem").read_bytes(), None)
    leaf = x509.load_pem_x509_certificate((folder / "certificate.pem").read_bytes())
    return Papers((leaf.public_bytes(serialization.Encoding.DER),), key)


def test_issued_is_let_in_and_revoked_is_cut(
    cluster: Any, database_settings: Settings, capsys: Any, tmp_path: Path
) -> None:
    async def work(host: Host, at: Stage) -> None:
        told = await host.issue(tmp_path, "--system", "his")
        assert told["subject"] == "spiffe://gateway.invalid/org/140100/sys/his"
        assert (tmp_path / "key.pem").stat().st_mode & 0o777 == 0o600
        papers = _papers(tmp_path)
        reader, writer = await at.connect(papers)
        # Admitted, before it is revoked: one that comes later is let in to be told so, and stands.
        await until(lambda: len(at.front.connections) == 1)
        issued = at.leaves()[0]
        assert (issued["kind"], issued["decision"], issued["door"]) == (
            "admin.certificate.issue",
            "allow",
            "host",
        )
        assert issued["detail"]["target_serial"] == told["serial"]
        words = (
            "certificate",
            "revoke",
            str(at.home.root),
            "--serial",
            told["serial"].upper(),
            "--reason",
            "key-compromise",
        )
        revoked = await host.told(*words)
        async with asyncio.timeout(20):
            assert await reader.read() == b""
        writer.close()
        made = der.revocation_list(at.home.crl.read_bytes())
        assert crl.number_of(made) == revoked["crl_number"]
        assert made.get_revoked_certificate_by_serial_number(int(told["serial"], 16)) is not None
        assert await at.defect(papers, CITY_AT) == "CERT_REVOKED"
        # The leaf of the cut comes right after the cut.
        await until(lambda: any(leaf["kind"] == "connection.cut" for leaf in at.leaves()))
        kinds = [leaf["kind"] for leaf in at.leaves()]
        assert sorted(kinds) == [
            "admin.certificate.issue",
            "admin.certificate.revoke",
            "certificate.used",
            "connection.cut",
        ]
        assert (await host.told(*words, status=1))["refused"] == "ALREADY_EXISTS"
        assert [
            one["decision"] for one in at.leaves() if one["kind"] == "admin.certificate.revoke"
        ] == ["allow", "deny"]

    hosted(cluster, database_settings, capsys, work)


def test_a_request_keeps_its_key_at_home(
    cluster: Any, database_settings: Settings, capsys: Any, tmp_path: Path
) -> None:
    async def work(host: Host, at: Stage) -> None:
        key = ec.generate_private_key(ec.SECP384R1())
        asked = (
            x509.CertificateSigningRequestBuilder()
            .subject_name(x509.Name([]))
            .sign(key, hashes.SHA256())
        )
        (tmp_path / "request.pem").write_bytes(asked.public_bytes(serialization.Encoding.PEM))
        await host.issue(
            tmp_path, "--system", "his", "--csr", str(tmp_path / "request.pem"), "--days", "3"
        )
        assert not (tmp_path / "key.pem").exists()
        leaf = x509.load_pem_x509_certificate((tmp_path / "certificate.pem").read_bytes())
        assert leaf.public_key() == key.public_key()
        assert (leaf.not_valid_after_utc - leaf.not_valid_before_utc).days == 3

    hosted(cluster, database_settings, capsys, work)


def test_what_is_not_issued(
    cluster: Any, database_settings: Settings, capsys: Any, tmp_path: Path
) -> None:
    """Each refusal that reached the register has its leaf; nothing is entered."""

    async def work(host: Host, at: Stage) -> None:
        async def refused(*words: str, status: int = 1) -> str:
            return str((await host.issue(tmp_path / "out", *words, status=status))["refused"])

        assert await refused("--system", "unknown") == "NOT_FOUND"
        assert await refused("--system", "his", "--days", "91") == "CERT_PROFILE"
        assert await refused("--system", "A B") == "CERT_PROFILE"
        at.sql("UPDATE gateway.system SET state = 2")
        assert await refused("--system", "his") == "SYSTEM_SUSPENDED"
        at.sql("UPDATE gateway.organisation SET state = 2")
        assert await refused("--system", "his") == "ORGANISATION_SUSPENDED"
        assert [leaf["reason"] for leaf in at.leaves()] == [
            "NOT_FOUND",
            "SYSTEM_SUSPENDED",
            "ORGANISATION_SUSPENDED",
        ]
        assert at.sql("SELECT count(*) FROM gateway.certificate") == [(0,)]
        assert not (tmp_path / "out" / "certificate.pem").exists()

    hosted(cluster, database_settings, capsys, work)


def test_one_bearer_is_named(
    cluster: Any, database_settings: Settings, capsys: Any, tmp_path: Path
) -> None:
    async def work(host: Host, at: Stage) -> None:
        where = (
            "certificate",
            "issue",
            str(at.home.root),
            "--out",
            str(tmp_path),
            "--organisation",
            "140100",
        )
        for words in ((), ("--system", "his", "--officer", "li")):
            assert await asyncio.to_thread(_cli, *where, *words) == 2
        assert at.leaves() == []

    hosted(cluster, database_settings, capsys, work)


def test_the_list_and_a_new_server_certificate(
    cluster: Any, database_settings: Settings, capsys: Any, tmp_path: Path
) -> None:
    async def work(host: Host, at: Stage) -> None:
        issued = await host.issue(tmp_path, "--system", "his")
        listed = await host.told("certificate", "list", str(at.home.root))
        assert [(one["serial"], one["state"]) for one in listed["certificates"]] == [
            (issued["serial"], "issued")
        ]
        renewed = await host.told("certificate", "renew-server", str(at.home.root))
        [leaf] = [one for one in at.leaves() if one["kind"] == "admin.certificate.server"]
        assert (leaf["decision"], leaf["door"]) == ("allow", "host")
        at.front.refresh()
        _, writer = await at.connect(_papers(tmp_path))
        shown = writer.get_extra_info("ssl_object").getpeercert()
        assert int(shown["serialNumber"], 16) == int(renewed["serial"], 16)
        assert ("IP Address", CITY_AT) in shown["subjectAltName"]
        writer.close()

    hosted(cluster, database_settings, capsys, work)


def test_a_gateway_that_is_not_served(tmp_path: Path, founded: Any, capsys: Any) -> None:
    words = ("certificate", "list", str(founded.root), "--json")
    assert _cli(*words) == 3
    assert json.loads(capsys.readouterr().out)["refused"] == "NOT_SERVED"
