"""A statement of restore is read as it was signed, by a key that proves the kept size; two officers' signatures count, each for itself."""

from dataclasses import replace

import pytest

from gateway.tlog import restored
from gateway.tlog.keys import LogKeys
from gateway.tlog.note import NoteError, sign
from gateway.tlog.restored import Anchor
from tests.client.restoring import consent, statement
from tests.client.small_gateway import Log, make_papers
from tests.client.test_checkpoints import log_of

PAPERS = make_papers()
ANCHOR = Anchor(PAPERS.authority[1], "gateway.test", "140105")


def code(work) -> str:
    with pytest.raises(NoteError) as raised:
        work()
    return raised.value.code


def test_what_was_signed_is_read():
    log = log_of(9)
    made = statement(PAPERS, log, 5)
    raw = made.signed(log.signer)
    found = restored.read(raw, LogKeys.of(log.signer.verifier))
    assert found == made
    assert found.cause == "disk-lost"
    assert restored.digest(raw) == restored.digest(made.signed(Log().signer))
    found.require_officers(ANCHOR)


def test_only_a_key_that_proves_the_kept_size_counts():
    log = log_of(9)
    old = log.signer
    new = log.follow(overlap=False)
    keys = LogKeys.of(old.verifier, log.notes)
    assert (
        code(lambda: restored.read(statement(PAPERS, log, 5).signed(new), keys))
        == "SIGNATURE_MISSING"
    )
    log.append(b"more")
    assert (
        code(lambda: restored.read(statement(PAPERS, log, 10).signed(old), keys))
        == "SIGNATURE_MISSING"
    )
    assert restored.read(statement(PAPERS, log, 10).signed(new), keys).size == 10


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("kept 5", "kept 05"),
        ("restored ", "restored -"),
        ("officer ", "officer !"),
        ("disk", "disk"),
        ("log-restored/v1", "log-restored/v2"),
    ],
)
def test_another_form_is_refused(before, after):
    log = log_of(9)
    text = statement(PAPERS, log, 5).text().replace(before, after)
    if before == after:
        text += "more\n"
    raw = sign(text, log.signer)
    assert code(lambda: restored.read(raw, LogKeys.of(log.signer.verifier))) == "RESTORE_FORM"


def test_a_consent_is_of_one_form():
    good = consent(PAPERS, "zhao")
    assert restored.read_consent(good.encode()) == good
    timed = replace(good, until="end")
    assert restored.read_consent(timed.encode()) == timed
    assert code(lambda: restored.read_consent(b"{}")) == "RESTORE_FORM"
    assert (
        code(lambda: restored.read_consent(good.encode().replace(b"restore-v1", b"restore-v2")))
        == "RESTORE_FORM"
    )
    assert code(replace(good, until="a\nb").statement) == "RESTORE_FORM"
    assert code(replace(good, cause="a\nb").statement) == "RESTORE_FORM"
    assert code(timed.require_signed) == "RESTORE_OFFICERS"
    assert code(replace(good, certificate=b"none").require_signed) == "RESTORE_OFFICERS"


def test_two_officers_of_the_province_for_one_restore():
    log = log_of(9)
    good = statement(PAPERS, log, 5)
    zhao, qian = good.consents
    for consents in (
        (zhao, zhao),
        (zhao, consent(PAPERS, "qian", ago_s=-60)),
        (zhao, consent(make_papers(), "qian")),
        (zhao, consent(PAPERS, "qian", organisation="140105")),
        (zhao, replace(qian, cause="other")),
    ):
        made = replace(good, consents=consents)
        assert code(lambda made=made: made.require_officers(ANCHOR)) == "RESTORE_OFFICERS"
    for changed in (
        {"manifest_sha256": "cd" * 32},
        {"restored_us": 1},
        {"restored_us": good.restored_us + 10**12},
    ):
        assert (
            code(lambda changed=changed: replace(good, **changed).require_officers(ANCHOR))
            == "RESTORE_OFFICERS"
        )
    for anchor in (
        replace(ANCHOR, root=make_papers().authority[1]),
        replace(ANCHOR, trust_domain="other.test"),
        replace(ANCHOR, province="110000"),
    ):
        assert code(lambda anchor=anchor: good.require_officers(anchor)) == "RESTORE_OFFICERS"
    assert (
        code(lambda: replace(good, authorities=(b"x",)).require_officers(ANCHOR)) == "RESTORE_FORM"
    )
    # A certificate that is no authority's issues nobody.
    server = replace(good, authorities=(zhao.certificate,))
    assert code(lambda: server.require_officers(ANCHOR)) == "RESTORE_OFFICERS"
