import pytest

from gateway.client import invitation
from gateway.client.invitation import InvitationError

CODE = "0123456789ABCDEFGHJKMNPQRS"
PIN = "ab" * 32


@pytest.mark.parametrize("host", ["10.8.0.1", "gateway.example", "[fd00::1]"])
def test_an_invitation_is_read_and_written_back(host):
    text = f"gateway://{host}:8448/gateway.test/{CODE}/{PIN}"
    found = invitation.parse(f" {text}\n")
    assert found.host == host.strip("[]")
    assert (found.port, found.trust_domain, found.code.value) == (8448, "gateway.test", CODE)
    assert found.pin == PIN
    assert found.line() == text
    assert CODE not in repr(found)


def test_a_code_may_be_written_in_groups_and_small():
    grouped = "-".join(CODE[at : at + 5] for at in range(0, 26, 5)).lower()
    found = invitation.parse(f"gateway://h:1/gateway.test/{grouped}/{PIN.upper()}")
    assert (found.code.value, found.pin) == (CODE, PIN)


@pytest.mark.parametrize(
    "text",
    [
        "",
        f"https://h:1/gateway.test/{CODE}/{PIN}",
        f"gateway://h/gateway.test/{CODE}/{PIN}",
        f"gateway://h:0/gateway.test/{CODE}/{PIN}",
        f"gateway://h:65536/gateway.test/{CODE}/{PIN}",
        f"gateway://fd00::1:8448/gateway.test/{CODE}/{PIN}",
        f"gateway://h:1/UPPER/{CODE}/{PIN}",
        f"gateway://h:1/gateway.test/{CODE[1:]}/{PIN}",
        f"gateway://h:1/gateway.test/{CODE}/{PIN[1:]}",
        f"gateway://h:1/gateway.test/{CODE}/{PIN}/more",
        f"gateway://u@h:1/gateway.test/{CODE}/{PIN}",
    ],
)
def test_what_is_no_invitation_is_not_quoted(text):
    with pytest.raises(InvitationError) as raised:
        invitation.parse(text)
    assert CODE[1:] not in str(raised.value)
