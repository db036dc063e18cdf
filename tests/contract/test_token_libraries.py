"""Two judges of one token: ours (python-jose behind its wrapper) and joserfc, a library that shares no line with it.

joserfc is asked as its documentation says for an access token: the keys of our set, ES256 alone, every registered claim essential,
issuer and audience by value, times by the clock. Whatever it refuses ours must refuse; where it takes what ours refuses, `STRICTER`
says why ours is right. So a wrapper that forgot a rule, or was stricter without a reason, shows here.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace

import pytest
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from gateway.clock import US_PER_S
from gateway.errors import UnauthenticatedError
from gateway.identity import keys, token
from gateway.identity.token import Bearer, Verifier
from tests.attacks.forged_tokens import FORGERIES, GOOD, Workshop
from tests.identity.office import DOMAIN, KEY, minter
from tests.identity.test_token import BEARER, CLAIMS, NOW_S

# Why what joserfc takes is refused here. A case is named by the beginning of its name.
STRICTER = {
    # RFC 9068 section 2.2 names the claims of an access token, and ours name more: without each of them the token is bound to
    # nobody's certificate, session or epoch. joserfc knows the registered ones alone.
    "102 no client_id": "RFC 9068 2.2 requires it",
    "102 no org": "the caller's organisation is judged by it",
    "102 no sid": "a token without a session could not be ended",
    "102 no pwd_epoch": "a token would outlive the password",
    "102 no role_epoch": "a token would outlive the roles",
    "102 no roles": "who may what is told by it",
    "102 no amr": "two factors are what it must show (GB/T 22239 8.1.4.1 d)",
    "102 no cnf": "a bearer token for everybody (RFC 8705 3.1)",
    "102 a claim more": "nobody but us mints: what we did not write is forged",
    '103 {"exp": 1099511627776}': "tokens end within ten minutes",
    '103 {"pwd_epoch"': "an epoch is a number",
    '103 {"role_epoch"': "an epoch is not negative",
    '103 {"sid"': "a session has one spelling, 32 hexadecimal digits",
    '103 {"roles"': "a string would be searched for parts, not members",
    '103 {"amr"': "the certificate is the first factor",
    '103 {"cnf"': "the binding has one member of one form (RFC 8705 3.1)",
    "103 aud in a list": "one audience, one spelling",
    "103 exp 9999999999.0": "times are integers; a life beyond ten minutes too",
    "104 exp twice": "which of two counts is the parser's whim (RFC 8725 section 2.6)",
    "104 sub twice": "the same",
    "104 alg twice": "the same, in the header",
    "105 header jku": "an address of keys in a token is an invitation to follow it (RFC 8725 section 3.10)",
    "105 header x5u": "the same",
    "105 header x5c": "a key must not come with what it signs",
    "105 header x5t#S256": "the certificate is the connection's, named in cnf",
    "105 header cty": "nothing is nested",
    "105 header jwk": "a key must not come with what it signs",
    "105 no kid": "a key is found by its exact name, or any would be tried",
    "105 no typ": "RFC 9068 section 4: at+jwt, so that no other kind of token is taken (RFC 8725 section 3.11)",
    "106 typ '": "the same",
    "113 times {'exp': 601}": "no longer life than the contract allows",
    # What only a connection knows.
    "connection": "joserfc is not told of the connection (RFC 8705 section 3): the same token on another one is stolen",
}
# What ours takes and joserfc refuses: nothing but time, where the clocks of two processes may differ.
LENIENT = {
    "good a minute ahead": "issued by a clock that was set back since: sixty seconds of leeway"
}


@dataclass(frozen=True)
class Case:
    """A token, the connection that it comes over, and the time."""

    name: str
    made: str
    bearer: Bearer = BEARER
    now_us: int = NOW_S * US_PER_S
    public: str = KEY.public_set


def cases() -> Iterator[Case]:
    shop = Workshop(KEY.private_jwk, minter().mint(CLAIMS))
    for name, make in GOOD:
        yield Case(f"good {name}", make(shop))
    for forgery in FORGERIES:
        yield Case(str(forgery), forgery.make(shop))
    yield Case(
        "connection: another certificate", shop.good, replace(BEARER, certificate_sha256=bytes(32))
    )
    yield Case(
        "connection: another organisation", shop.good, replace(BEARER, organisation="140200")
    )
    other = BEARER.subject.replace("sys/hub", "sys/spare")
    yield Case("connection: another system", shop.good, replace(BEARER, subject=other))
    end_us = (NOW_S + 600) * US_PER_S
    yield Case("good to the last microsecond", shop.good, now_us=end_us - 1)
    yield Case("ended", shop.good, now_us=end_us)
    yield Case("good a minute ahead", shop.good, now_us=(NOW_S - 60) * US_PER_S)
    yield Case("more than a minute ahead", shop.good, now_us=(NOW_S - 60) * US_PER_S - 1)
    yield Case("a key that left the set", shop.good, public=keys.make().public_set)


CASES = {one.name: one for one in cases()}


def ours(case: Case) -> bool:
    public = {key["kid"]: key for key in json.loads(case.public)["keys"]}
    try:
        Verifier(public, DOMAIN).verify(case.made, case.bearer, case.now_us)
    except UnauthenticatedError:
        return False
    return True


def theirs(case: Case) -> bool:
    """What joserfc says; a foreign exception of any kind is a refusal."""
    essential = {name: {"essential": True} for name in ("sub", "jti", "exp", "nbf", "iat")}
    registry = jwt.JWTClaimsRegistry(
        now=case.now_us // US_PER_S,
        **essential,
        iss={"essential": True, "value": token.issuer(DOMAIN)},
        aud={"essential": True, "value": token.audience(DOMAIN)},
    )
    try:
        held = KeySet.import_key_set(json.loads(case.public))
        registry.validate(jwt.decode(case.made, held, algorithms=["ES256"]).claims)
    except (JoseError, ValueError, TypeError, OverflowError, RecursionError):
        return False
    return True


def reasoned(name: str) -> list[str]:
    return [begin for begin in STRICTER if name.startswith(begin)]


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_both_judge_alike_or_ours_is_stricter_for_a_reason(case: Case) -> None:
    verdicts = (ours(case), theirs(case))
    if case.name in LENIENT:
        assert verdicts == (True, False)
    elif reasoned(case.name) and not verdicts[0]:
        assert verdicts[1], "both refuse: no reason is needed"
    else:
        assert verdicts[0] == verdicts[1], verdicts


@pytest.mark.parametrize(
    "case",
    [one for one in CASES.values() if one.name.startswith("good ")],
    ids=lambda one: one.name,
)
def test_what_is_good_is_taken(case: Case) -> None:
    assert ours(case)


def test_every_reason_is_needed() -> None:
    """No reason speaks of a case that is not there, and no case has two."""
    used = [reasoned(name) for name in CASES]
    assert {one for found in used for one in found} == set(STRICTER)
    assert all(len(found) <= 1 for found in used), used
    assert set(LENIENT) <= set(CASES)
