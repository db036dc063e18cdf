import pytest

from gateway.errors import Reason, Refusal
from gateway.pki.defect import Life
from gateway.pki.register import Bearer
from gateway.services import certificates
from gateway.v1 import certificate_pb2 as pb


@pytest.mark.parametrize(
    ("life", "state"),
    [
        (Life(1, 0, 10), pb.CERTIFICATE_STATE_ISSUED),
        (Life(1, 0, 10, first_used_us=1), pb.CERTIFICATE_STATE_ACTIVE),
        (Life(1, 6, 10, first_used_us=1), pb.CERTIFICATE_STATE_NOT_YET_VALID),
        (Life(1, 0, 5), pb.CERTIFICATE_STATE_EXPIRED),
        (Life(2, 0, 5, 1), pb.CERTIFICATE_STATE_REVOKED),
        (Life(3, 0, 10, 1), pb.CERTIFICATE_STATE_SUPERSEDED),
        (Life(3, 0, 10, 1, locked_us=2), pb.CERTIFICATE_STATE_LOCKED),
    ],
)
def test_every_state_has_its_word(life, state):
    assert certificates.state(life, life.defect(5)) == state


def test_purposes_are_the_contracts():
    assert certificates.purpose(pb.CERTIFICATE_PURPOSE_TLS) == 1
    assert certificates.purpose(pb.CERTIFICATE_PURPOSE_ENCRYPTION) == 2
    with pytest.raises(Refusal) as found:
        certificates.purpose(pb.CERTIFICATE_PURPOSE_UNSPECIFIED)
    assert found.value.reason is Reason.FIELD_INVALID
    assert set(certificates.PURPOSE_WORDS) == {1, 2}


def test_a_bearer_is_a_system_or_an_officer():
    assert certificates.bearer("140100", "his", officer=False) == Bearer("140100", "sys", "his")
    assert certificates.bearer("140100", "chen", officer=True).kind == "officer"
    with pytest.raises(Refusal):
        certificates.bearer("140100", "a b", officer=False)
