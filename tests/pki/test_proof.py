"""The key that proves invitations: made once, the same for two doors, and refused when it is none."""

import pytest

from gateway.config import folders
from gateway.config.home import Home
from gateway.config.strict import SettingsError
from gateway.pki import proof
from gateway.pki.proof import CONFIRMED, HOLDERS, MADE, Proofs


@pytest.fixture
def home(tmp_path) -> Home:
    home = Home(tmp_path / "home")
    folders.make_folders(home)
    return home


def test_a_home_without_one_gets_it_once_and_two_doors_hold_the_same(home) -> None:
    assert proof.make(home)
    contents = {proof.path(home, door).read_bytes() for door in HOLDERS}
    assert [len(one) for one in contents] == [proof.KEY_BYTES]
    for door in HOLDERS:
        path = proof.path(home, door)
        assert (path.parent, path.stat().st_mode & 0o777) == (home.secrets(door), 0o600)
    assert not proof.make(home)
    assert {proof.path(home, door).read_bytes() for door in HOLDERS} == contents


@pytest.mark.parametrize("lost", HOLDERS)
def test_a_copy_that_lacks_is_made_of_the_other(home, lost) -> None:
    """After a crash between the two, say."""
    proof.make(home)
    before = proof.path(home, lost).read_bytes()
    proof.path(home, lost).unlink()
    assert proof.make(home)
    assert proof.path(home, lost).read_bytes() == before


def test_what_is_no_key_is_refused(home) -> None:
    with pytest.raises(SettingsError, match="cannot be read"):
        Proofs.load(home, "identity")
    proof.path(home, "identity").write_bytes(b"x" * 31)
    with pytest.raises(SettingsError, match="not a key of invitations"):
        Proofs.load(home, "identity")


def test_a_proof_is_of_one_act_and_of_what_it_states_in_this_order() -> None:
    ours, others = Proofs(b"k" * 32), Proofs(b"l" * 32)
    made = ours.of(MADE, "one", 2, "ab", "c")
    assert len(made) == 32
    assert ours.fits(made, MADE, "one", 2, "ab", "c")
    assert not others.fits(made, MADE, "one", 2, "ab", "c")
    assert not ours.fits(made, CONFIRMED, "one", 2, "ab", "c")
    assert not ours.fits(made, MADE, "one", "2", "ab", "c")
    assert not ours.fits(made, MADE, "one", 2, "a", "bc")
    assert not ours.fits(made, MADE, 2, "one", "ab", "c")
    assert not ours.fits(made, MADE, "one", 2, "ab", "c", "")
    assert not ours.fits(None, MADE, "one", 2, "ab", "c")
    assert not ours.fits(made[:-1], MADE, "one", 2, "ab", "c")


def test_the_key_shows_nowhere() -> None:
    assert "kkkk" not in repr(Proofs(b"k" * 32))
