"""NIST PKITS through both verifiers, and as files through `gateway certificate check`: the same verdict on every path.

What the suite calls invalid is refused, with one exception; what it calls valid and we refuse needs something that no
certificate or list of ours has. Both stand name by name in tests/vectors/pkits.py, with the reason.
"""

import json
import subprocess
import sys

import pytest
from cryptography import x509

from gateway.cli.main import application, run
from gateway.pki.paths import OpenSslPath, PathError, RustPath, Trust
from tests.pki.forge import x509_pem
from tests.vectors.pkits import (
    ACCEPTED_WRONGLY,
    ANCHOR,
    AT,
    CRLS,
    INVALID,
    REFUSED_WRONGLY,
    UNREADABLE,
    VALID,
    cases,
)

# cryptography warns of each certificate that it reads though RFC 5280 forbids it.
pytestmark = pytest.mark.filterwarnings("ignore")
REFUSED_VALID = {name for names in REFUSED_WRONGLY.values() for name in names.split()}


@pytest.fixture(scope="module")
def suite():
    return tuple(cases())


def judge(case, openssl, rust):
    """Return whether both verifiers accept; a path that the library cannot read is refused."""
    try:
        leaf, *above = map(x509.load_der_x509_certificate, (case.leaf, *case.above))
        openssl.check(leaf, above, AT)
        rust.check(leaf, above, AT)
    except (ValueError, PathError):
        return False
    return True


def words(case, folder):
    """Write a path to files and return the arguments that ask about it."""
    leaf, above = folder / f"{case.name}.crt", folder / f"{case.name}.pem"
    leaf.write_bytes(case.leaf)
    above.write_bytes(b"".join(map(x509_pem, case.above)))
    lists = [part for path in CRLS for part in ("--crl", str(path))]
    between = ["--intermediates", str(above)] if case.above else []
    told = [str(leaf), "--trust", str(ANCHOR), *between, *lists, "--time", AT.isoformat()]
    return ["certificate", "check", *told, "--json"]


def test_both_verifiers_together(suite):
    anchor = x509.load_der_x509_certificate(ANCHOR.read_bytes())
    lists = tuple(x509.load_der_x509_crl(path.read_bytes()) for path in CRLS)
    openssl, rust = OpenSslPath(Trust((anchor,), lists, "all")), RustPath(Trust((anchor,)), 8)
    accepted = {case.name for case in suite if judge(case, openssl, rust)}
    valid = {case.name for case in suite if case.valid}
    assert (len(valid), len(suite) - len(valid)) == (VALID, INVALID)
    assert accepted - valid == set(ACCEPTED_WRONGLY)
    assert valid - accepted == REFUSED_VALID


def test_the_command_gives_the_same_verdicts_on_files(suite, tmp_path, capsys):
    """Nothing of the suite is of our closed profile, so nothing is let in; `path` says what both verifiers found."""
    app = application("certificate")
    stands = set()
    for case in suite:
        with pytest.raises(SystemExit) as ended:
            run(app, words(case, tmp_path))
        told = json.loads(capsys.readouterr().out)
        assert told["accepted"] is False
        # 2: one of the files above the leaf is no certificate that can be read.
        assert ended.value.code == (2 if told["refused"] == "FILE_UNREADABLE" else 1)
        if told["refused"] == "FILE_UNREADABLE" or told["rule"] == "encoding":
            assert case.name in UNREADABLE
        elif told["path"] == "stands":
            assert told["refused"] == "CERT_PROFILE"
            stands.add(case.name)
    valid = {case.name for case in suite if case.valid}
    assert stands - valid == set(ACCEPTED_WRONGLY)
    assert valid - stands == REFUSED_VALID | {name for name in UNREADABLE if name in valid}


@pytest.mark.parametrize(
    ("name", "reason", "path"),
    [
        ("ValidSignaturesTest1", "CERT_PROFILE", "stands"),
        ("InvalidRevokedEETest3", "CERT_REVOKED", "broken"),
        ("InvalidpathLenConstraintTest12", "CERT_UNTRUSTED", "broken"),
    ],
)
def test_the_command_as_people_run_it(suite, tmp_path, name, reason, path):
    (case,) = [case for case in suite if case.name == name]
    done = subprocess.run(
        [sys.executable, "-m", "gateway", *words(case, tmp_path)], capture_output=True, check=False
    )
    told = json.loads(done.stdout)
    assert (done.returncode, told["refused"], told["path"]) == (1, reason, path)
