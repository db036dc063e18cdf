"""Tokens as they are made and taken, with joserfc as a second, independent reader. Attacks: tests/attacks/test_token_*.py."""

import contextlib
import json
from dataclasses import replace

import pytest
from joserfc import jwt
from joserfc.jwk import KeySet

from gateway.clock import US_PER_S
from gateway.errors import Reason, UnauthenticatedError
from gateway.identity import token
from gateway.identity.token import Bearer, Claims
from tests.identity.office import DOMAIN, KEY, minter, verifier

NOW_S = 1_772_409_600
SUBJECT = f"spiffe://{DOMAIN}/org/140100/sys/hub"
CLAIMS = Claims(
    "140100",
    "hub-upload",
    SUBJECT,
    bytes(range(16)),
    ("uploader",),
    3,
    1,
    bytes(range(32)),
    NOW_S,
    NOW_S + 600,
)
BEARER = Bearer(bytes(range(32)), "140100", SUBJECT)


def test_what_was_minted_is_verified() -> None:
    made = minter().mint(CLAIMS)
    found = verifier().verify(made, BEARER, NOW_S * US_PER_S)
    assert replace(found, token_id="") == CLAIMS
    assert len(found.token_id) == 32
    assert found.expires_us == (NOW_S + 600) * US_PER_S
    assert minter().mint(CLAIMS) != made
    assert len(made) < 1024


def test_an_independent_library_reads_the_same() -> None:
    made = minter().mint(replace(CLAIMS, token_id="f" * 32))
    read = jwt.decode(made, KeySet.import_key_set(json.loads(KEY.public_set)), algorithms=["ES256"])
    assert read.header == {"alg": "ES256", "typ": "at+jwt", "kid": KEY.kid}
    assert read.claims == {
        "iss": f"spiffe://{DOMAIN}/gateway/identity",
        "aud": f"spiffe://{DOMAIN}/gateway",
        "sub": "hub-upload",
        "client_id": SUBJECT,
        "org": "140100",
        "sid": bytes(range(16)).hex(),
        "jti": "f" * 32,
        "iat": NOW_S,
        "nbf": NOW_S,
        "exp": NOW_S + 600,
        "roles": ["uploader"],
        "pwd_epoch": 3,
        "role_epoch": 1,
        "amr": ["mtls", "pwd"],
        "cnf": {"x5t#S256": "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"},
    }


def test_it_ends_to_the_second() -> None:
    made = minter().mint(CLAIMS)
    verifier().verify(made, BEARER, (NOW_S + 600) * US_PER_S - 1)
    with pytest.raises(UnauthenticatedError) as refused:
        verifier().verify(made, BEARER, (NOW_S + 600) * US_PER_S)
    assert refused.value.reason is Reason.TOKEN_EXPIRED


def test_one_bearer_value_and_no_other() -> None:
    assert token.bearer_value(["Bearer abc"]) == "abc"
    with pytest.raises(UnauthenticatedError) as refused:
        token.bearer_value([])
    assert refused.value.reason is Reason.TOKEN_MISSING
    for values in (
        ["Bearer a", "Bearer a"],
        ["bearer a"],
        ["Basic a"],
        [""],
        [b"Bearer a"],
        [" Bearer a"],
    ):
        with pytest.raises(UnauthenticatedError) as refused:
            token.bearer_value(values)
        assert refused.value.reason is Reason.TOKEN_INVALID


def test_keys_do_not_show_in_a_minter() -> None:
    secret = json.loads(KEY.private_jwk)["d"]
    assert secret not in repr(minter())
    assert not hasattr(minter(), "__dict__")


def test_what_a_token_of_ours_says_is_told_also_where_it_counts_no_more() -> None:
    """And of a forged one nothing: what it says is nobody's word."""
    made, seen = minter().mint(CLAIMS), []
    other = replace(BEARER, certificate_sha256=bytes(32))
    for bearer, at_s in ((BEARER, NOW_S), (BEARER, NOW_S + 600), (other, NOW_S + 600)):
        with contextlib.suppress(UnauthenticatedError):
            verifier().verify(made, bearer, at_s * US_PER_S, seen.append)
    assert [replace(one, token_id="") for one in seen] == [CLAIMS] * 3
    head, payload, signature = made.split(".")
    forged = f"{head}.{payload}.{signature[:-4]}{'AAAA' if signature[-4:] != 'AAAA' else 'BBBB'}"
    with pytest.raises(UnauthenticatedError):
        verifier().verify(forged, BEARER, NOW_S * US_PER_S, seen.append)
    assert len(seen) == 3
