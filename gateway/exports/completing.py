"""What a plan leaves out becomes the recipient's own: the certificates in use, the only tunnel."""

from gateway.exports.facts import Around
from gateway.exports.plan import Party
from gateway.pki import register
from gateway.store.database import Transaction

_IN_FORCE = (
    "SELECT encode(c.certificate_sha256, 'hex')"
    " FROM gateway.certificate AS c JOIN gateway.lineage AS l ON l.id = c.lineage"
    " WHERE (c.organisation, c.subject_kind, c.subject_name) = (%s, 'officer', %s)"
    " AND c.purpose = %s AND c.state = 1 AND l.locked_us IS NULL AND c.not_after_us > %s"
    # The one in use rather than the one that will replace it.
    " ORDER BY c.first_used_us IS NULL, c.not_after_us DESC LIMIT 1"
)
_PEERS = "SELECT peer FROM gateway.tunnel WHERE organisation = %s AND state = 1"


async def in_force(tx: Transaction, party: Party, purpose: register.Purpose, until_us: int) -> str:
    """Return the digest of a person's certificate that is valid past a moment, "" for none."""
    row = await tx.fetch_one(_IN_FORCE, (*party.person, purpose, until_us))
    return "" if row is None else str(row[0])


async def only_tunnel(tx: Transaction, organisation: str, around: Around) -> str:
    """Return the tunnel of an organisation where it has one and no other, "" otherwise."""
    found = [name for name, owner in around.static.items() if owner == organisation]
    found += [peer for (peer,) in await tx.fetch(_PEERS, (organisation,))]
    return found[0] if len(found) == 1 else ""
