"""A WireGuard device's answers, read strictly: each as if it were the first, however quickly the next is read."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.vpn import window
from gateway.vpn.table import MalformedAnswerError
from gateway.vpn.uapi import Answers
from gateway.vpn.wireguard import parse_dump
from tests.vpn.fakes import KEYS, dump, uapi, uapi_peer

GOOD = uapi(
    uapi_peer(KEYS[0], "10.66.1.2/32", "fd66::2/128", handshake_s=1_790_000_000),
    uapi_peer(KEYS[1], "10.66.2.0/24", endpoint="[2001:db8::1]:51820"),
)
CHANGED = uapi(
    uapi_peer(KEYS[0], "10.66.2.0/24", handshake_s=1_790_000_120),
    uapi_peer(KEYS[1], "10.66.1.2/32", endpoint="198.51.100.1:4000"),
)


def read(answer):
    return Answers().read(answer)


def test_an_answer_of_the_socket():
    first, second = read(GOOD)
    assert (first.name, list(map(str, first.networks))) == (
        KEYS[0],
        ["10.66.1.2/32", "fd66::2/128"],
    )
    assert (first.handshake_us, first.endpoint) == (1_790_000_000_000_000, "192.0.2.1:51820")
    assert (second.handshake_us, second.endpoint) == (None, "[2001:db8::1]:51820")
    assert read(uapi()) == []


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"errno=0", b"errno=1"),
        (b"errno=0", b""),
        (b"public_key=01", b"public_key=0"),
        (b"public_key=01", b"public_key=zz"),
        (b"public_key=" + b"02" * 32, b"public_key=" + b"01" * 32),
        (b"allowed_ip=10.66.1.2/32", b"allowed_ip=10.66.1.2/33"),
        (b"allowed_ip=10.66.2.0/24", b"allowed_ip=10.66.2.1/24"),
        (b"allowed_ip=10.66.2.0/24", b"allowed_ip=" + b"-1"),
        (b"protocol_version=1", b"protocol_version=1\nprotocol_version=1"),
        (b"last_handshake_time_sec=1790000000", b"last_handshake_time_sec=-1"),
        (b"last_handshake_time_sec=1790000000", b"last_handshake_time_sec=" + b"9" * 30),
        (b"last_handshake_time_sec=1790000000", "last_handshake_time_sec=１".encode()),
        (b"endpoint=192.0.2.1:51820", b"endpoint=here"),
        (b"rx_bytes", b"rx_bites"),
        (b"listen_port=51820", b"listen_port"),
        (b"private_key", b"allowed_ip"),
    ],
)
def test_nonsense_on_the_socket_is_no_answer(old, new):
    assert old in GOOD
    with pytest.raises(MalformedAnswerError) as wrong:
        read(GOOD.replace(old, new, 1))
    assert "5a5a" not in str(wrong.value)


def read_after(before, answer):
    """What is read of an answer when another was read before; None for no answer."""
    answers = Answers()
    for said in before:
        answers.read(said)
    try:
        return answers.read(answer)
    except MalformedAnswerError:
        return None


def read_or_none(answer):
    return read_after([], answer)


def test_what_is_told_in_the_same_words_is_not_read_anew_and_what_changed_is():
    answers = Answers()
    first, second = answers.read(GOOD)
    again = answers.read(GOOD)
    assert [id(one) for one in again] == [id(first), id(second)]
    changed = GOOD.replace(b"sec=1790000000", b"sec=1790000120").replace(
        b"192.0.2.1:", b"192.0.2.9:"
    )
    moved, same = answers.read(changed)
    assert (moved.handshake_us, moved.endpoint) == (1_790_000_120_000_000, "192.0.2.9:51820")
    assert same is second
    # Networks that went to the other peer.
    swapped = GOOD.replace(b"10.66.1.2/32", b"10.66.2.7/32")
    assert str(answers.read(swapped)[0].networks[0]) == "10.66.2.7/32"
    # Who is not told any more is gone, and who comes back is read as it is now.
    assert answers.read(uapi()) == []
    assert answers.read(GOOD) == [first, second]


def test_what_the_window_tells_is_not_read_anew_either():
    for told in (
        window.without_keys(GOOD),
        window.written(parse_dump(dump((KEYS[0], "10.66.1.2/32", 17), (KEYS[1], "(none)", 0)))),
    ):
        answers = Answers()
        first = answers.read(told)
        assert [id(one) for one in answers.read(told)] == list(map(id, first))


def test_another_order_of_the_lines_says_the_same():
    # BoringTun and others have their own.
    lines = GOOD.decode().split("\n")
    at = lines.index("allowed_ip=10.66.2.0/24")
    lines.insert(at - 6, lines.pop(at))
    assert read("\n".join(lines).encode()) == read(GOOD)
    no_secret = GOOD.replace(b"preshared_key=" + b"0" * 64 + b"\n", b"")
    assert read(no_secret) == read(GOOD)


def test_no_preshared_key_is_kept():
    answers = Answers()
    answers.read(GOOD.replace(b"preshared_key=" + b"0" * 64, b"preshared_key=" + b"7e" * 32))
    assert "7e" * 32 not in repr(answers._known)
    assert "5a" * 32 not in repr(answers._known)


@pytest.mark.parametrize(
    "hidden",
    [
        b"preshared_key=" + b"0" * 40 + b"\nallowed_ip=0.0.0.0/0\n" + b"0" * 2,
        b"preshared_key=" + b"0" * 63,
        b"preshared_key=" + b"0" * 65,
    ],
)
def test_nothing_hides_where_the_preshared_key_is_stepped_over(hidden):
    said = GOOD.replace(b"preshared_key=" + b"0" * 64, hidden, 1)
    assert read_after([GOOD], said) == read_or_none(said)


@given(
    st.binary(max_size=200),
    st.integers(0, len(GOOD)),
    st.integers(0, 80),
    st.lists(st.sampled_from([GOOD, uapi(), CHANGED]), max_size=3),
)
def test_whatever_comes_is_peers_or_no_answer_whatever_came_before(noise, at, cut, before):
    for said in (noise, GOOD[:at] + noise + GOOD[at + cut :], GOOD[:at] + CHANGED[at:]):
        found = read_or_none(said)
        assert read_after(before, said) == found
        names = [peer.name for peer in found or []]
        assert len(set(names)) == len(names)
