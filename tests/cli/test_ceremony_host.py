"""The gateway's half of the ceremony, beside a front that serves: what is carried back holds at once, each act has its leaf."""

from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.serialization import Encoding

from gateway.clock import SYSTEM
from gateway.config.settings import Settings
from gateway.pki import authorities, ceremony, keys
from tests.audit.stage import until
from tests.cli.test_certificate import Host, hosted
from tests.front.stage import CITY_AT, DOMAIN, Stage, serial
from tests.pki.foreign import Foreign
from tests.pki.forge import CITY, Ca, x509_pem

KINDS = ("admin.certificate.ceremony", "admin.certificate.register", "admin.certificate.revoke")


def acts(at: Stage) -> list[dict[str, Any]]:
    return [leaf for leaf in at.leaves() if leaf["kind"] in KINDS]


def told_of(at: Stage) -> list[tuple[str, str, str]]:
    """What the leaves of ceremonies say: decision, state, what of."""
    found = [(leaf["decision"], leaf.get("detail", {})) for leaf in acts(at)]
    return [(decision, words.get("state", ""), words.get("role", "")) for decision, words in found]


async def followed(host: Host, at: Stage, tmp_path: Path, kind: str) -> Any:
    """Request, sign in the safe, install; return what install told."""
    request, signed = tmp_path / "request.csr", tmp_path / "signed.pem"
    home = str(at.home.root)
    asked = await host.told(
        "certificate", "ceremony", "request", home, "--kind", kind, "--out", str(request)
    )
    signer = ("--authority",) if kind == "server" else ("--root",)
    hosts = ("--host", CITY_AT, "--host", DOMAIN) if kind == "server" else ()
    made = await host.told(
        "certificate", "ceremony", "sign", *signer, str(at.home.offline), "--request",
        str(request), "--kind", kind, "--out", str(signed), *hosts, "--yes",
    )  # fmt: skip
    assert asked["key_sha256"] == made["key_sha256"]
    return await host.told("certificate", "ceremony", "install", home, str(signed))


def test_authorities_and_server_follow_while_connections_stand(
    cluster: Any, database_settings: Settings, capsys: Any, tmp_path: Path
) -> None:
    async def work(host: Host, at: Stage) -> None:
        papers = at.good()
        reader, writer = await at.connect(papers)
        for kind in ("server-authority", "server", "client-authority"):
            told = await followed(host, at, tmp_path, kind)
            assert told["kind"] == kind
        await until(lambda: len(at.front._terms.current.lists) == 2)
        assert told_of(at) == [
            ("allow", state, kind)
            for kind in ("server_authority", "server", "client_authority")
            for state in ("requested", "installed")
        ]
        digest = told["key_sha256"].replace(" ", "")
        assert acts(at)[-1]["detail"]["spki_sha256"] == digest
        writer.write(b"hello")
        assert await reader.readexactly(5) == b"hello"
        writer.close()
        assert await at.served(papers)
        new = ceremony.client_authority(at.home)
        assert keys.spki_sha256(new.certificate.public_key()).hex() == digest
        assert await at.served(at.register(Ca(new, new, new, SYSTEM.now_us()).good()))

    hosted(cluster, database_settings, capsys, work)


def test_what_is_refused_has_one_leaf_and_changes_nothing(
    cluster: Any, database_settings: Settings, capsys: Any, tmp_path: Path
) -> None:
    async def work(host: Host, at: Stage) -> None:
        before = {path: path.read_bytes() for path in at.home.public.iterdir()}
        stranger = tmp_path / "stranger.pem"
        stranger.write_bytes(ceremony.pem(Ca.make(SYSTEM.now_us()).client.certificate))
        home = str(at.home.root)
        words = ("certificate", "ceremony", "install", home, str(stranger))
        assert (await host.told(*words, status=1))["refused"] == "CERT_PROFILE"
        [leaf] = acts(at)
        assert (leaf["decision"], leaf["reason"]) == ("deny", "CERT_PROFILE")
        assert {path: path.read_bytes() for path in at.home.public.iterdir()} == before
        assert (await followed(host, at, tmp_path, "client-authority"))["kind"]

    hosted(cluster, database_settings, capsys, work)


def test_an_authority_is_retired_once_nobody_needs_it_or_all_are_revoked(
    cluster: Any, database_settings: Settings, capsys: Any, tmp_path: Path
) -> None:
    async def work(host: Host, at: Stage) -> None:
        old = keys.spki_sha256(ceremony.client_authority(at.home).certificate.public_key()).hex()
        home = str(at.home.root)
        words = ("certificate", "ceremony", "retire", home, "--authority", old[:16])
        assert (await host.told(*words, status=1))["refused"] == "CERT_PROFILE"  # the only one
        papers = at.good()
        await followed(host, at, tmp_path, "client-authority")
        await until(lambda: len(at.front._terms.current.lists) == 2)
        assert await at.served(papers)
        refused = await host.told(*words, status=1)
        assert refused["refused"] == "FIELD_INVALID"
        assert await at.served(papers)
        issued = await host.issue(tmp_path / "new", "--system", "his")  # by the one that follows
        await host.told(*words, "--revoke")
        assert [leaf["kind"] for leaf in acts(at)[-2:]] == [KINDS[2], KINDS[0]]
        assert acts(at)[-2]["counts"] == {"certificates": 1}
        assert acts(at)[-2]["detail"]["issuer_sha256"] == old
        assert acts(at)[-1]["detail"]["state"] == "retired"
        assert len(authorities.load(at.home)) == 1
        assert at.sql("SELECT serial FROM gateway.certificate WHERE state = 1") == [
            (issued["serial"],)
        ]
        await until(lambda: len(at.front._terms.current.lists) == 1)
        assert not await at.served(papers)
        new = ceremony.client_authority(at.home)
        assert await at.served(at.register(Ca(new, new, new, SYSTEM.now_us()).good()))

    hosted(cluster, database_settings, capsys, work)


def test_the_provinces_own_authority(
    cluster: Any, database_settings: Settings, capsys: Any, tmp_path: Path
) -> None:
    """Trusted with its list, one certificate entered, let in; revoked by its list once that is published."""

    async def work(host: Host, at: Stage) -> None:
        foreign = Foreign.make(SYSTEM.now_us())
        papers, other = foreign.good(), foreign.good()
        authority, listed, leaf = (tmp_path / name for name in ("ca.pem", "ca.crl", "leaf.pem"))
        authority.write_bytes(ceremony.pem(foreign.certificate))
        listed.write_bytes(foreign.revocations().public_bytes(Encoding.DER))
        leaf.write_bytes(x509_pem(papers.chain[0]))
        home = str(at.home.root)
        enter = ("certificate", "register", home, str(leaf))
        assert (await host.told(*enter, status=1))["refused"] == "CERT_UNTRUSTED"
        assert not await at.served(papers)
        words = ("certificate", "ceremony", "trust", home, "--authority", str(authority))
        trusted = await host.told(*words, "--crl", str(listed))
        assert trusted["list"] == str(authorities.external_list(at.home, foreign.certificate))
        await until(lambda: len(at.front._terms.current.lists) == 2)
        told = await host.told(*enter)
        assert told["subject"] == str(CITY)
        assert (await host.told(*enter, status=1))["refused"] == "ALREADY_EXISTS"
        registered = acts(at)[-2]
        assert registered["decision"] == "allow"
        assert registered["detail"]["target_serial"] == serial(papers)
        assert (
            registered["detail"]["issuer_sha256"]
            == keys.spki_sha256(foreign.certificate.public_key()).hex()
        )
        assert await at.served(papers)
        assert not await at.served(other)  # of the authority, and not entered
        assert at.leaves()[-1]["reason"] == "CERT_UNKNOWN"
        [row] = at.sql("SELECT issuer_sha256, generation FROM gateway.certificate")
        assert (bytes(row[0]).hex(), row[1]) == (registered["detail"]["issuer_sha256"], 1)

    hosted(cluster, database_settings, capsys, work)
