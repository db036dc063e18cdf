"""Attacks 101-109, 113, 114 of reference/identity.md: tokens that python-jose alone would take, and malformed ones.

Each forgery (`forged_tokens`) is refused by the rule it breaks, named in the refusal's cause; the caller hears TOKEN_INVALID and
nothing else. At a live door: test_token_at_the_door.py; beside a second library: tests/contract/test_token_libraries.py.
"""

import json
from dataclasses import replace

import pytest

from gateway.clock import US_PER_S
from gateway.errors import Reason, UnauthenticatedError
from gateway.identity import keys
from gateway.identity.strict_json import TokenFaultError
from gateway.identity.token import Bearer, Verifier
from tests.attacks.forged_tokens import FORGERIES, GOOD, Workshop, decode, encode, twin
from tests.identity.office import DOMAIN, KEY, minter, verifier
from tests.identity.test_token import BEARER, CLAIMS, NOW_S

NOW_US = NOW_S * US_PER_S


def workshop() -> Workshop:
    return Workshop(KEY.private_jwk, minter().mint(CLAIMS))


def refused(
    made: str, rule: str, bearer: Bearer = BEARER, now_us: int = NOW_US, by: Verifier | None = None
) -> None:
    """It is refused by this very rule, the caller learns nothing of it, and the next good token works."""
    judge = by or verifier()
    with pytest.raises(UnauthenticatedError) as found:
        judge.verify(made, bearer, now_us)
    assert found.value.reason is Reason.TOKEN_INVALID
    assert isinstance(found.value.__cause__, TokenFaultError)
    assert found.value.__cause__.rule == rule
    assert found.value.metadata == {}
    assert made[:40] not in repr(found.value) + repr(found.value.__cause__) or len(made) < 40
    verifier().verify(minter().mint(CLAIMS), BEARER, NOW_US)


@pytest.mark.parametrize("forgery", FORGERIES, ids=str)
def test_a_forgery_is_refused_by_its_rule(forgery) -> None:
    refused(forgery.make(workshop()), forgery.rule)


def test_no_two_forgeries_have_one_name() -> None:
    names = [str(one) for one in FORGERIES]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize(("name", "make"), GOOD, ids=[name for name, _ in GOOD])
def test_what_is_good_is_taken(name, make) -> None:
    assert verifier().verify(make(workshop()), BEARER, NOW_US).account == CLAIMS.account


def test_the_last_character_of_a_signature_has_one_spelling() -> None:
    """Each of the fifteen others that decode to the same bytes is refused."""
    made = minter().mint(CLAIMS)
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    last = alphabet.index(made[-1])
    for other in range(last + 1, last + 16):
        spelt = made[:-1] + alphabet[other]
        assert decode(spelt.rsplit(".", 1)[1]) == decode(made.rsplit(".", 1)[1])
        refused(spelt, "base64")
    assert encode(decode(made.rsplit(".", 1)[1])) == made.rsplit(".", 1)[1]


def test_the_ecdsa_twin_is_the_same_token() -> None:
    """108: (r, n-s) is valid too, for every library: so the token id, never the text, tells tokens apart."""
    shop = workshop()
    other = twin(shop)
    assert other != shop.good
    judged = [verifier().verify(made, BEARER, NOW_US) for made in (other, shop.good)]
    assert judged[0] == judged[1]


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"certificate_sha256": bytes(32)}, "connection.certificate"),
        ({"organisation": "140200"}, "connection.organisation"),
        ({"subject": f"spiffe://{DOMAIN}/org/140100/sys/spare"}, "connection.subject"),
        ({"subject": f"spiffe://{DOMAIN}/org/140100/officer/hub"}, "connection.subject"),
    ],
)
def test_a_stolen_token_is_of_no_use_on_another_connection(
    change: dict[str, object], rule: str
) -> None:
    made = minter().mint(CLAIMS)
    refused(made, rule, replace(BEARER, **change))
    # Nor does an expired one tell the thief that it was good once.
    refused(made, rule, replace(BEARER, **change), NOW_US + 900 * US_PER_S)


@pytest.mark.parametrize(
    ("offset_us", "taken"), [(-60_000_001, False), (-60_000_000, True), (-59_999_999, True)]
)
def test_a_clock_set_back_by_a_minute_breaks_nothing(offset_us: int, taken: bool) -> None:
    """113."""
    made, now_us = minter().mint(CLAIMS), NOW_US + offset_us
    if taken:
        verifier().verify(made, BEARER, now_us)
    else:
        refused(made, "claims.iat", now_us=now_us)


def test_a_key_that_left_the_set_signs_nothing_any_more() -> None:
    """114."""
    fresh = keys.make()
    successor = Verifier({fresh.kid: json.loads(fresh.public_set)["keys"][0]}, DOMAIN)
    refused(minter().mint(CLAIMS), "header.kid", by=successor)
    both = {
        key["kid"]: key
        for text in (KEY.public_set, fresh.public_set)
        for key in json.loads(text)["keys"]
    }
    Verifier(both, DOMAIN).verify(minter().mint(CLAIMS), BEARER, NOW_US)
