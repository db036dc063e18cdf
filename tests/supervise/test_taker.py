"""Who takes which kind of secret: one taker a kind, and only kinds that the table can hold."""

from gateway.config.home import Home
from gateway.identity.rotation import KINDS
from gateway.supervise import rotation
from gateway.supervise.taker import StepError, Taken


def test_a_kind_has_one_taker_at_most(tmp_path):
    kinds = [one.kind for one in rotation._takers(Home(tmp_path))]
    assert len(kinds) == len(set(kinds))
    assert "token-key" in kinds
    assert set(kinds) <= set(KINDS)


def test_what_a_step_came_to_is_told_by_the_step_alone_unless_it_says_more():
    assert Taken("kid").event is None


def test_a_step_that_cannot_be_taken_is_no_error_of_files():
    """It is counted like one, and the engine goes on to the other secrets."""
    assert not issubclass(StepError, OSError)
