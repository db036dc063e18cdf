"""A payload is there whole or not at all, and is nobody else's to read."""

import hashlib

import pytest

from gateway.exports import payloads
from gateway.exports.payloads import Payload


def test_it_comes_into_its_place_when_it_is_whole(tmp_path):
    whole = payloads.path(tmp_path, "EX-00000001")
    with Payload(whole) as payload:
        payload.write(b"one")
        payload.write(b"two")
        assert not whole.exists()
        payload.settle()
    assert whole.read_bytes() == b"onetwo"
    assert whole.stat().st_mode & 0o777 == 0o600
    assert payload.length == 6
    assert payload.sha256 == hashlib.sha256(b"onetwo").hexdigest()
    assert [one.name for one in tmp_path.iterdir()] == ["EX-00000001.payload"]


def test_remove_takes_both_names_and_nothing_of_another_ticket(tmp_path):
    whole = payloads.path(tmp_path, "EX-00000001")
    other = payloads.path(tmp_path, "EX-00000002")
    for path in (whole, whole.with_suffix(".part"), other):
        path.write_bytes(b"x")
    payloads.remove(tmp_path, "EX-00000001")
    payloads.remove(tmp_path, "EX-00000001")
    assert list(tmp_path.iterdir()) == [other]


def test_a_link_laid_in_its_way_is_not_followed(tmp_path):
    """Attack: whoever may write into the folder points the next payload at another file."""
    target = tmp_path / "precious"
    target.write_bytes(b"precious")
    whole = payloads.path(tmp_path, "EX-00000001")
    whole.with_suffix(".part").symlink_to(target)
    with pytest.raises(OSError, match="exists"), Payload(whole):
        pytest.fail("it was opened")
    assert target.read_bytes() == b"precious"


@pytest.mark.parametrize(
    "name", ["../EX-00000001", "EX-0000000１", "EX-00000001/..", "EX-1", "", "EX-00000001\n"]
)
def test_attack_46_a_file_is_named_by_its_ticket_and_by_nothing_else(tmp_path, name):
    for act in (payloads.path, payloads.remove):
        with pytest.raises(ValueError, match="number"):
            act(tmp_path, name)
