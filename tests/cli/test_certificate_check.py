import json

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from gateway.cli.main import application, run
from gateway.clock import SHANGHAI, SYSTEM, to_datetime
from gateway.pki import crl
from gateway.pki.verify import serial_text
from tests.pki.forge import CITY, Ca, x509_pem
from tests.pki.forgeries import DAY_US, DEFECTS, FORGERIES


@pytest.fixture(scope="module")
def ca():
    return Ca.make(SYSTEM.now_us())


@pytest.fixture
def files(ca, tmp_path):
    """Write what a test needs and return the paths as text."""

    class Files:
        client = tmp_path / "client.pem"
        root = tmp_path / "root.pem"

        def leaf(self, papers, *, pem=True):
            path = tmp_path / "leaf"
            path.write_bytes(x509_pem(papers.chain[0]) if pem else papers.chain[0])
            return str(path)

        def crl(self, *papers):
            serials = [
                serial_text(x509.load_der_x509_certificate(one.chain[0]).serial_number)
                for one in papers
            ]
            entries = [crl.Revoked(serial, ca.now_us, "superseded") for serial in serials]
            path = tmp_path / "list.crl"
            path.write_bytes(crl.build(ca.client, entries, 1, ca.now_us).public_bytes(Encoding.DER))
            return str(path)

    Files.client.write_bytes(ca.client.certificate.public_bytes(Encoding.PEM))
    Files.root.write_bytes(ca.root.certificate.public_bytes(Encoding.PEM))
    return Files()


@pytest.fixture
def ask(capsys):
    def run_one(*words, status):
        with pytest.raises(SystemExit) as ended:
            run(application("certificate"), ["certificate", "check", *map(str, words), "--json"])
        assert (ended.value.code or 0) == status
        return json.loads(capsys.readouterr().out)

    return run_one


@pytest.mark.parametrize("pem", [True, False])
def test_accepted(ca, files, ask, pem):
    told = ask(files.leaf(ca.good(), pem=pem), "--trust", files.client, status=0)
    assert (told["accepted"], told["subject"]) == (True, str(CITY))
    assert len(told["sha256"]) == 64


def test_by_the_root_with_intermediates_and_lists(ca, files, ask):
    papers = ca.good()
    leaf = files.leaf(papers)
    between = ("--trust", files.root, "--intermediates", files.client)
    assert ask(leaf, *between, "--crl", files.crl(), status=0)["accepted"]
    assert ask(leaf, *between, "--crl", files.crl(papers), status=1)["refused"] == "CERT_REVOKED"
    assert ask(leaf, "--trust", files.root, status=1)["refused"] == "CERT_UNTRUSTED"
    assert ask(leaf, "--trust", files.root, files.client, status=0)["accepted"]


@pytest.mark.parametrize(
    "forgery",
    [one for one in (*FORGERIES, *DEFECTS) if "trust domain" not in one.name],
    ids=lambda one: one.name,
)
def test_a_forgery_is_refused_and_the_rule_told(ca, files, ask, forgery):
    told = ask(files.leaf(forgery.make(ca)), "--trust", files.client, status=1)
    assert (told["accepted"], told["refused"]) == (False, forgery.reason)
    assert told["rule"]
    assert told["detail"]
    assert told["message"]


def test_time_and_trust_domain(ca, files, ask):
    leaf = files.leaf(ca.good())
    later = to_datetime(ca.now_us + 20 * DAY_US)
    for moment in (later, later.replace(tzinfo=None), later.astimezone(SHANGHAI)):
        told = ask(leaf, "--trust", files.client, "--time", moment.isoformat(), status=1)
        assert told["refused"] == "CERT_EXPIRED"
    tomorrow = files.leaf(ca.good(now_us=ca.now_us + DAY_US))
    assert ask(tomorrow, "--trust", files.client, status=1)["refused"] == "CERT_NOT_YET_VALID"
    leaf = files.leaf(ca.good())
    # An authority that is not valid itself vouches for nobody.
    assert (
        ask(leaf, "--trust", files.client, "--time", "2060-01-01", status=1)["refused"]
        == "CERT_UNTRUSTED"
    )
    assert (
        ask(leaf, "--trust", files.client, "--trust-domain", "x.invalid", status=1)["rule"]
        == "trust-domain"
    )


def test_files_that_cannot_be_used(ca, files, ask, tmp_path):
    leaf = files.leaf(ca.good())
    (tmp_path / "garbage").write_text("garbage")
    for words in (
        ("--trust", tmp_path / "garbage"),
        ("--trust", files.client, "--crl", tmp_path / "garbage"),
    ):
        assert ask(leaf, *words, status=2)["refused"] == "FILE_UNREADABLE"
    assert ask(tmp_path / "garbage", "--trust", files.client, status=1)["rule"] == "encoding"


@pytest.mark.parametrize("words", [("--time", "yesterday"), ("--trust", "/nonexistent"), ()])
def test_wrong_usage(ca, files, words):
    with pytest.raises(SystemExit) as ended:
        run(
            application("certificate"),
            [
                "certificate",
                "check",
                files.leaf(ca.good()),
                *(("--trust", str(files.client)) if words[:1] == ("--time",) else ()),
                *words,
            ],
        )
    assert ended.value.code == 2


@pytest.mark.parametrize(
    ("lang", "word"), [("en", "refused: CERT_PROFILE, rule names"), ("zh", "拒绝：CERT_PROFILE")]
)
def test_for_people(ca, files, capsys, lang, word):
    forgery = next(one for one in FORGERIES if one.name.startswith("12"))
    with pytest.raises(SystemExit):
        run(
            application("certificate"),
            [
                "certificate",
                "check",
                files.leaf(forgery.make(ca)),
                "--trust",
                str(files.client),
                "--lang",
                lang,
            ],
        )
    assert word in capsys.readouterr().out
