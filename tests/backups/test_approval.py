"""Two officers of the register sign for one backup, for one cause, within a day; nothing else passes."""

from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from gateway.backups import approval, manifest
from gateway.backups.approval import Approval
from gateway.backups.making import Source
from gateway.client.papers import signed
from gateway.clock import SYSTEM
from gateway.identity import accounts
from gateway.identity.accounts import NewAccount
from gateway.names import Subject
from gateway.pki import authorities, issue, register
from gateway.pki.ceremony import key_pem as papers
from tests.backups.stand import RULES, Stand, code


def test_what_was_written_is_read(stand: Stand) -> None:
    made = stand.approved(stand.kept, "zhao")
    assert approval.parse(made.encode()) == made
    timed = stand.approved(stand.kept, "zhao", until="2026-11-26T02:00:00+08:00")
    assert approval.parse(timed.encode()) == timed
    assert timed.statement() != replace(timed, until="").statement()
    signing = lambda until: approval.statement("0" * 64, "disk-lost", 1, until)  # noqa: E731
    assert code(lambda: signing("a\nb")) == "BACKUP_NOT_APPROVED"
    for field in ("manifest_sha256", "cause"):
        assert replace(made, **{field: "a"}).statement() != made.statement()


def required(
    stand: Stand, *approvals: Approval, later_s: int = 0, change: str = "", until: str = ""
) -> str:
    """The cause on which they agree, or the refusal."""
    digest, found = manifest.sha256(stand.kept.manifest.encode()), []

    async def work(source: Source) -> None:
        async with source.database.transaction() as tx:
            if change:
                assert await tx.execute(change) == 1
            now_us = SYSTEM.now_us() + later_s * 1_000_000
            found.append(await approval.require(tx, list(approvals), (digest, until), now_us))

    return code(lambda: stand.run(work)) or found[0]


def test_two_officers_for_one_cause(stand: Stand) -> None:
    zhao, qian = (stand.approved(stand.kept, name) for name in ("zhao", "qian"))
    assert required(stand, zhao, qian) == "disk-lost"
    for two in (
        (),
        (zhao,),
        (zhao, zhao),
        (zhao, stand.approved(stand.kept, "admin")),
        (zhao, stand.approved(stand.kept, "qian", cause="test")),
        (zhao, stand.approved(stand.kept, "qian", ago_s=86_401)),
        (zhao, stand.approved(stand.kept, "qian", ago_s=-60)),
        (zhao, replace(qian, signature=zhao.signature)),
        (zhao, replace(qian, certificate=zhao.certificate)),
        (zhao, replace(qian, manifest_sha256="0" * 64)),
        (zhao, replace(qian, certificate=b"none")),
    ):
        assert required(stand, *two) == "BACKUP_NOT_APPROVED", two
    assert required(stand, zhao, qian, later_s=86_500) == "BACKUP_NOT_APPROVED"
    assert required(stand, zhao, qian, until="end") == "BACKUP_NOT_APPROVED"
    timed = [stand.approved(stand.kept, name, until="end") for name in ("zhao", "qian")]
    assert required(stand, *timed, until="end") == "disk-lost"
    assert required(stand, *timed) == "BACKUP_NOT_APPROVED"
    assert required(stand, zhao, qian) == "disk-lost"


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE gateway.account SET state = 2 WHERE subject_name = 'qian'",
        "UPDATE gateway.account SET roles = '{auditor}' WHERE subject_name = 'qian'",
        "UPDATE gateway.certificate SET state = 2, revoked_us = 1 WHERE subject_name = 'qian'",
    ],
    ids=["suspended", "role", "revoked"],
)
def test_who_was_an_officer_signs_nothing(stand: Stand, change) -> None:
    """The change is undone with the refusal."""
    zhao, qian = (stand.approved(stand.kept, name) for name in ("zhao", "qian"))
    assert required(stand, zhao, qian, change=change) == "BACKUP_NOT_APPROVED"
    assert required(stand, zhao, qian) == "disk-lost"


def test_a_statement_of_another_backup_is_not_of_this_one(stand: Stand) -> None:
    """Signed as it must be, but for another digest."""
    key, certificate = stand.officers["qian"]
    other = Approval("0" * 64, "disk-lost", SYSTEM.now_us(), certificate, b"")
    other = replace(other, signature=signed(key, other.statement()))
    assert required(stand, stand.approved(stand.kept, "zhao"), other) == "BACKUP_NOT_APPROVED"


def test_one_person_with_two_certificates_and_two_accounts_is_one(stand: Stand) -> None:
    """Attack: an officer has himself certified again, and entered under a second account; he signs with both."""
    first = stand.officers["zhao"]

    async def again(source: Source) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        subject = Subject("sx.example", "140000", "officer", "zhao")
        authority = authorities.issuing(authorities.load(stand.home))
        now_us = SYSTEM.now_us()
        one = issue.client_certificate(authority, subject, key.public_key(), now_us)
        async with source.database.transaction() as tx:
            await register.insert(tx, one, subject)
            account = NewAccount("140000", "zhao-2", ("security_officer",), "zhao")
            await accounts.create(tx, account, "!", RULES, now_us)
        stand.officers["zhao-2"] = (papers(key), one.public_bytes(Encoding.DER))

    stand.run(again)
    try:
        both = [stand.approved(stand.kept, name) for name in ("zhao", "zhao-2")]
        assert both[0].certificate == first[1] != both[1].certificate
        assert required(stand, *both) == "BACKUP_NOT_APPROVED"
        assert required(stand, both[1], stand.approved(stand.kept, "qian")) == "disk-lost"
    finally:
        stand.sql("UPDATE gateway.account SET state = 2 WHERE name = %s", "zhao-2")
        del stand.officers["zhao-2"]


@pytest.mark.parametrize("content", [b"", b"{}", b'{"format":"other"}', b"\xff"])
def test_another_form_is_refused(content) -> None:
    assert code(lambda: approval.parse(content)) == "BACKUP_NOT_APPROVED"


@pytest.mark.parametrize("cause", ["", "two words", "Zhang San", "a\nb", "x" * 65])
def test_a_cause_is_a_word(cause) -> None:
    assert code(lambda: approval.statement("0" * 64, cause, 1)) == "BACKUP_NOT_APPROVED"
