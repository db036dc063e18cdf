import asyncio

from gateway.demo.tried import Tried
from gateway.demo.watch import Found


class Eyes:
    """Sees these leaves after each attempt."""

    def __init__(self, *leaves):
        self.leaves = list(leaves)
        self.asked = []

    async def newest(self):
        return 4

    async def after(self, index, *, reason="", kind=""):
        assert index == 4
        self.asked.append(reason or kind)
        return self.leaves


async def done(result):
    return result


def row(eyes, verb, *words):
    tried = Tried(eyes)
    asyncio.run(getattr(tried, verb)(*words))
    [found] = tried.rows
    return found


def test_a_refusal_with_its_one_leaf_is_as_promised_and_names_its_policies():
    leaf = Found(5, {"policies": ["f33-recipient-bound"]})
    found = row(Eyes(leaf), "call", "row", "RECIPIENT_MISMATCH", done("RECIPIENT_MISMATCH"))
    assert found.kept
    assert (found.leaf, found.policies) == (5, ("f33-recipient-bound",))
    assert row(Eyes(Found(5, {})), "call", "row", "X", done("X")).policies == ()


def test_another_reason_no_leaf_or_two_are_not_as_promised():
    leaf = Found(5, {})
    assert not row(Eyes(leaf), "call", "row", "X", done("accepted")).kept
    assert row(Eyes(), "call", "row", "X", done("X")).happened == "X, 0 leaves"
    assert not row(Eyes(leaf, leaf), "call", "row", "X", done("X")).kept


def test_a_knock_that_is_thrown_out_is_told_by_its_leaf():
    assert row(Eyes(Found(5, {})), "knock", "row", "CERT_MISSING", done("thrown out")).kept
    assert not row(Eyes(Found(5, {})), "knock", "row", "CERT_MISSING", done("served")).kept


def test_a_cut_is_in_time_or_not():
    eyes = Eyes(Found(9, {}))
    assert row(eyes, "cut", done(("CERT_REVOKED", 0.2))).kept
    assert eyes.asked == ["connection.cut"]
    assert not row(Eyes(Found(9, {})), "cut", done(("CERT_REVOKED", 3.0))).kept
    assert not row(Eyes(), "cut", done(("CERT_REVOKED", 0.2))).kept
