"""A signature counts for its key and its bytes, in its form, and for no other kind of key."""

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.hashes import SHA256, SHA384

from gateway.tlog.ecdsa import SIGNATURE_MAX, verifies

SIGNED = b"what is signed"


def test_a_keys_own_signature_and_no_other():
    key, other = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    good = key.sign(SIGNED, ec.ECDSA(SHA256()))
    assert len(good) <= SIGNATURE_MAX
    assert verifies(key.public_key(), SIGNED, good)
    assert not verifies(key.public_key(), SIGNED + b"x", good)
    bad = (b"", None, "x", good[:-1], good + b"\0", b"x" * 64, good * 100)
    for signature in (
        *bad,
        key.sign(SIGNED, ec.ECDSA(SHA384())),
        other.sign(SIGNED, ec.ECDSA(SHA256())),
    ):
        assert not verifies(key.public_key(), SIGNED, signature)


def test_another_kind_of_key_signs_nothing():
    keys = (rsa.generate_private_key(65537, 2048), ed25519.Ed25519PrivateKey.generate())
    good = ec.generate_private_key(ec.SECP256R1()).sign(SIGNED, ec.ECDSA(SHA256()))
    for key in (*(one.public_key() for one in keys), None):
        assert not verifies(key, SIGNED, good)
