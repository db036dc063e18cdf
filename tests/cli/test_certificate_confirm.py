"""`gateway certificate confirm`: root on the host stands in for the second officer, and an alert tells."""

import asyncio
from typing import Any

from gateway.config.settings import Settings
from gateway.pki import confirmation, invitation, keys, proof
from gateway.pki.proof import Proofs
from gateway.store.database import Database
from tests import papers
from tests.cli.test_certificate import Host, _cli, hosted
from tests.front.stage import Stage


def _requested(at: Stage, name: str, key: Any, **columns: Any) -> str:
    """Invite an officer, the key being shown already."""
    proof.make(at.home)
    papers.system(at, "140100", name, "officer")
    shown = {"subject_kind": "officer", "state": 2, **columns}
    shown["spki_sha256"] = bytes.fromhex(papers.fingerprint(key))
    return papers.invite(at, "140100", name, **shown)[0]


async def _read(at: Stage, number: str) -> invitation.Invitation:
    database = await Database.open(at.conninfo("owner"), application="test", size=1)
    try:
        async with database.transaction() as tx:
            return await invitation.read(tx, number)
    finally:
        await database.close()


def test_the_host_confirms_and_an_alert_tells(
    cluster: Any, database_settings: Settings, capsys: Any
) -> None:
    async def work(host: Host, at: Stage) -> None:
        key = papers.new_key()
        number, spoken = _requested(at, "li", key), papers.fingerprint(key).upper()
        spoken = ":".join(spoken[place : place + 4] for place in range(0, 64, 4))
        where = ("certificate", "confirm", str(at.home.root))
        told = await host.told(*where, number, spoken)
        [leaf] = at.leaves()
        assert (leaf["kind"], leaf["decision"], leaf["door"]) == (
            "admin.certificate.confirm",
            "allow",
            "host",
        )
        assert leaf["detail"] == {
            "alert": "confirmed-on-host",
            "invitation": number,
            "spki_sha256": papers.fingerprint(key),
            "target_organisation": "140100",
            "target_subject_kind": "officer",
            "target_subject_name": "li",
        }
        assert (told["invitation_id"], told["leaf"]) == (number, 0)
        found = await _read(at, number)
        spki = keys.spki_sha256(key.public_key())
        assert found.approver == confirmation.HOST
        assert confirmation.stands(found, spki, Proofs.load(at.home, "identity"))

    hosted(cluster, database_settings, capsys, work)


def test_what_the_host_does_not_confirm(
    cluster: Any, database_settings: Settings, capsys: Any
) -> None:
    """Another key, an invitation that is none, one whose row nobody made; each refusal has its leaf."""

    async def work(host: Host, at: Stage) -> None:
        key = papers.new_key()
        number, planted = _requested(at, "li", key), _requested(at, "zhang", key)
        at.sql("UPDATE gateway.invitation SET proof = NULL WHERE id = %s", planted)
        where = ("certificate", "confirm", str(at.home.root))
        for which, digest, reason in (
            (number, papers.fingerprint(papers.new_key()), "FIELD_INVALID"),
            (planted, papers.fingerprint(key), "NOT_FOUND"),
            ("12345678-0000-4000-8000-000000000000", papers.fingerprint(key), "NOT_FOUND"),
        ):
            assert (await host.told(*where, which, digest, status=1))["refused"] == reason
        assert [leaf.get("reason") for leaf in at.leaves()] == [
            "FIELD_INVALID",
            "NOT_FOUND",
            "NOT_FOUND",
        ]
        assert await asyncio.to_thread(_cli, *where, number, "ab") == 2
        assert len(at.leaves()) == 3
        assert (await _read(at, number)).approver is None

    hosted(cluster, database_settings, capsys, work)
