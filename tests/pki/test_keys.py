import math

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from gateway.pki import keys

ALL = ("P-256", "P-384", "RSA")


@pytest.mark.parametrize(
    "key",
    [
        ec.generate_private_key(ec.SECP256R1()),
        ec.generate_private_key(ec.SECP384R1()),
        rsa.generate_private_key(65537, 3072),
    ],
)
def test_sound_keys_pass(key):
    keys.check(key.public_key(), ALL)


@pytest.mark.parametrize(
    "key",
    [
        ec.generate_private_key(ec.SECP521R1()),
        ec.generate_private_key(ec.SECP256K1()),
        ed25519.Ed25519PrivateKey.generate(),
        rsa.generate_private_key(65537, 2048),
        rsa.generate_private_key(3, 3072),
    ],
)
def test_other_keys_do_not(key):
    with pytest.raises(keys.WeakKeyError):
        keys.check(key.public_key(), ALL)


def test_a_kind_outside_the_profile_does_not_pass():
    with pytest.raises(keys.WeakKeyError):
        keys.check(rsa.generate_private_key(65537, 3072).public_key(), ("P-256",))
    with pytest.raises(keys.WeakKeyError):
        keys.check(ec.generate_private_key(ec.SECP384R1()).public_key(), ("P-256",))


def _next_prime(n):
    n |= 1
    while not _is_prime(n):
        n += 2
    return n


def _is_prime(n):
    return all(n % small for small in (3, 5, 7, 11, 13, 17, 19, 23)) and all(
        pow(base, n - 1, n) == 1 for base in (2, 3, 5, 7)
    )


def _public(n):
    return rsa.RSAPublicNumbers(65537, n).public_key()


def test_primes_too_close_together():
    """80: boulder's test of keys from a broken generator of a printer."""
    p = _next_prime(rsa.generate_private_key(65537, 3072).private_numbers().p)
    q = _next_prime(p + 2)
    with pytest.raises(keys.WeakKeyError, match="close together"):
        keys.check(_public(p * q), ALL)
    assert keys.fermat(p * p)


def test_the_mark_of_the_broken_generator():
    """80: a modulus of CVE-2017-15361, made as its generator makes them: p = k M + 65537^a mod M."""
    m = math.prod(prime for prime in range(2, 168) if all(prime % d for d in range(2, prime)))
    p = 2**1536 // m * m + pow(65537, 12_345, m)
    q = 2**1535 // m * m + pow(65537, 54_321, m)
    assert keys.roca(p * q)
    with pytest.raises(keys.WeakKeyError, match="15361"):
        keys.check(_public(p * q), ALL)


def test_an_even_modulus_is_no_key():
    with pytest.raises(keys.WeakKeyError):
        keys.check(_Even(), ALL)


class _Even(rsa.RSAPublicKey):
    """A key that no library would make: an even modulus."""

    key_size = 3072

    def public_numbers(self):
        return rsa.RSAPublicNumbers(65537, 2**3071)

    def encrypt(self, *_):
        raise NotImplementedError

    public_bytes = verify = recover_data_from_signature = __eq__ = __copy__ = __deepcopy__ = encrypt
    __hash__ = None


def test_the_name_of_a_key_is_its_spki():
    key = ec.generate_private_key(ec.SECP256R1()).public_key()
    assert len(keys.spki_sha256(key)) == 32
    assert keys.spki_sha256(key) == keys.spki_sha256(key)
