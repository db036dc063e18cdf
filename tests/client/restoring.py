"""A small gateway that is put back from a copy of itself, and the officers who sign for it."""

import copy
import secrets
from dataclasses import dataclass, replace
from typing import Self

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from gateway.clock import SYSTEM, US_PER_S
from gateway.tlog import merkle
from gateway.tlog.restored import Consent, Restored
from tests.client.small_gateway import Log, Papers, SmallGateway, certificate

MANIFEST = "ab" * 32


def consent(
    papers: Papers,
    name: str,
    *,
    organisation: str = "140000",
    manifest: str = MANIFEST,
    ago_s: float = 1,
    until=None,
) -> Consent:
    root_key, root = papers.authority
    uri = f"spiffe://gateway.test/org/{organisation}/officer/{name}"
    key, own = certificate(name, root, root_key, uri=uri, until=until)
    bare = Consent(
        manifest,
        "disk-lost",
        SYSTEM.now_us() - round(ago_s * US_PER_S),
        own.public_bytes(Encoding.DER),
        b"",
    )
    return replace(bare, signature=key.sign(bare.statement(), ec.ECDSA(hashes.SHA256())))


def statement(
    papers: Papers, log: Log, size: int, *, names=("zhao", "qian"), later_s: float = 0, **changed
) -> Restored:
    """What a restored log says of its first `size` entries."""
    root = merkle.root_of(log.hashes[:size])
    two = tuple(consent(papers, each) for each in names)
    authority = papers.authority[1].public_bytes(Encoding.DER)
    now_us = SYSTEM.now_us() + round(later_s * US_PER_S)
    made = Restored(log.signer.verifier.name, size, root, now_us, MANIFEST, two, (authority,))
    return replace(made, **changed)


@dataclass
class Copy:
    """What a backup has of a gateway."""

    leaves: list[bytes]
    stored: dict
    batches: list

    @classmethod
    def of(cls, gateway: SmallGateway) -> Self:
        return cls(list(gateway.log.leaves), copy.copy(gateway.stored), list(gateway.batches))

    def restored(self, gateway: SmallGateway) -> SmallGateway:
        """A new gateway of the same keys; nothing says yet that it was restored."""
        log = Log(seed=gateway.log.signer._private.private_bytes_raw())
        for each in [*self.leaves, b"restored", *(secrets.token_bytes(8) for _ in range(3))]:
            log.append(each)
        return SmallGateway(
            papers=gateway.papers,
            log=log,
            stored=dict(self.stored),
            batches=list(self.batches),
            port=gateway.port,
        )
