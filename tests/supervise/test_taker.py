"""Who takes which kind of secret: one taker a kind, and only kinds that the table can hold."""

from gateway.config.home import Home
from gateway.identity.lives import HOST
from gateway.identity.rotation import KINDS, Secret
from gateway.supervise import rotation
from gateway.supervise.taker import StepError, Taken, detail


def test_a_kind_has_one_taker_at_most(tmp_path):
    kinds = [one.kind for one in rotation._takers(Home(tmp_path))]
    assert len(kinds) == len(set(kinds))
    assert "token-key" in kinds
    assert set(kinds) <= set(KINDS)


def test_what_a_step_came_to_is_told_by_the_step_alone_unless_it_says_more():
    assert Taken("kid").event is None


def test_a_leaf_tells_of_a_key_its_public_name_where_that_is_a_digest():
    assert detail(Secret("token-key", "tokens", HOST, 2, "A" * 43), "switch") == {
        "secret": "token-key",
        "step": "switch",
        "generation": 2,
        "digest": "00" * 32,
    }
    assert detail(Secret("signer-key", "log", HOST, 1, "0f" * 32), "x")["digest"] == "0f" * 32
    for other in ("", "0f" * 8, "A" * 44):
        assert "digest" not in detail(Secret("sealing-key", "body", HOST, 1, other), "publish")


def test_a_step_that_cannot_be_taken_is_no_error_of_files():
    """It is counted like one, and the engine goes on to the other secrets."""
    assert not issubclass(StepError, OSError)
