"""Which token key a step that is due is begun of; the steps themselves: tests/supervise/test_rotation.py."""

import pytest

from gateway.config.home import Home
from gateway.identity.lives import HOST, Kept
from gateway.identity.rotation import Secret
from gateway.supervise.token_taker import TokenTaker

OLD = Secret("token-key", "tokens", HOST, 1, "old")
SIGNS = Kept(OLD, 1, used_us=1)
WAITS = Kept(Secret("token-key", "tokens", HOST, 2, "new"), 2)


@pytest.mark.parametrize(
    ("kept", "step", "of"),
    [
        (SIGNS, "publish", Secret("token-key", "tokens", HOST, 3)),
        (SIGNS, "switch", None),
        (SIGNS, "retire", OLD),
        (WAITS, "switch", WAITS.secret),
        (WAITS, "publish", None),
    ],
)
def test_only_the_key_that_waits_is_switched_to(tmp_path, kept, step, of):
    assert TokenTaker(Home(tmp_path)).begins(kept, step, 3) == of
