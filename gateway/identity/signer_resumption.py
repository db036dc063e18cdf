"""A signer that lost its state goes on when two security officers of the province say so.

    1 request    read the whole log in the database, and prove that it continues what was kept
    2 approve    two officers, each on an own machine (`gateway.client.resumption`)
    3 resume     judge the approvals against the register; the leaf is committed before the signer
                 gets a state, so that it is the first that the signer signs

While the signer refuses, nothing else is recorded or served: these steps write to the log without
it, their refusals too.
"""

from collections.abc import Sequence

from cryptography.x509 import load_pem_x509_certificate

from gateway.audit.event import Event
from gateway.audit.log import Log, LogError, head
from gateway.clock import US_PER_S
from gateway.errors import Reason, Refusal, refuse
from gateway.identity import roles
from gateway.store.database import Database, StoreError, Transaction
from gateway.tlog.checkpoint import Checkpoint
from gateway.tlog.frontier import Frontier
from gateway.tlog.merkle import HASH_LENGTH
from gateway.tlog.resumption import Approval, Request, ResumptionError

KIND = "log.signer"
ALERT = "signer-resumed"
OFFICERS = 2
# An incident is dealt with at once: an approval of last week is of another one.
VALID_S = 24 * 3600
# Entries whose hashes are looked at in one statement.
_STEP = 16_384
_READ = """
    SELECT string_agg(leaf_hash, ''::bytea ORDER BY idx),
           count(*) FILTER (WHERE leaf_hash <> sha256('\\x00'::bytea || leaf))
    FROM gateway.audit_entry WHERE idx >= %s AND idx < %s
"""
_APPEND = "SELECT first FROM gateway.audit_append(%s, %s)"
_TOLD = (
    "SELECT idx FROM gateway.audit_entry WHERE idx >= %s AND kind = %s AND decision = 'allow'"
    " AND convert_from(leaf, 'UTF8')::jsonb #>> '{detail,digest}' = %s"
)
_OFFICER = (
    "SELECT c.pem, c.subject_name FROM gateway.certificate AS c"
    " JOIN gateway.organisation AS o ON o.code = c.organisation"
    " JOIN gateway.account AS a ON a.organisation = c.organisation"
    " AND a.subject_kind = c.subject_kind AND a.subject_name = c.subject_name"
    " WHERE c.certificate_sha256 = %s AND c.state = 1 AND c.not_after_us > %s"
    " AND c.subject_kind = 'officer' AND o.parent IS NULL AND a.state = 1 AND %s = ANY (a.roles)"
)


async def request(
    database: Database, origin: str, known: Sequence[Checkpoint], now_us: int
) -> Request:
    """1: return the request to go on with the log as it is.

    Raises LogError where it is not whole, ResumptionError where it does not continue a checkpoint.
    """
    async with database.transaction() as tx:
        newest = await head(tx)
        found = await _frontier(tx, newest.size)
    if found.root() != newest.root:
        raise LogError("ROOT_DIFFERS", f"the head of {newest.size} is not that of its entries")
    log, proofs = Log(database), dict[int, list[bytes]]()
    for size in sorted({one.size for one in known if 0 < one.size < newest.size}):
        proofs[size] = await log.consistency(size, newest.size)
    made = Request(origin, newest.size, newest.root, now_us, proofs)
    for one in known:
        made.require_continues(one)
    return made


async def resume(
    database: Database, wanted: Request, approvals: Sequence[Approval], now_us: int
) -> Frontier:
    """3: judge the approvals, put the leaf on the log, and return the state for the signer.

    Done twice, there is one leaf. Raises the refusal, recorded, and LogError.
    """
    async with database.transaction() as tx:
        found = await _frontier(tx, wanted.size)
        names, refusal = list[str](), None
        try:
            if found.root() != wanted.root:
                raise refuse(Reason.REVISION_STALE)
            names = await _officers(tx, wanted, approvals, now_us)
        except Refusal as error:
            refusal = error
        if refusal is not None:
            refusal.leaf_index = await _append(tx, wanted, names, refusal, now_us)
        elif await _told(tx, wanted) is None:
            await _append(tx, wanted, names, None, now_us)
    if refusal is not None:
        raise refusal
    return found


async def told(database: Database, wanted: Request) -> int | None:
    """Return the index of the leaf that tells of a resumption, None where there is none."""
    async with database.transaction() as tx:
        return await _told(tx, wanted)


async def _told(tx: Transaction, wanted: Request) -> int | None:
    row = await tx.fetch_one(_TOLD, (wanted.size, KIND, wanted.digest))
    return None if row is None else int(row[0])


async def _append(
    tx: Transaction, wanted: Request, names: Sequence[str], refusal: Refusal | None, now_us: int
) -> int:
    """Put the leaf on the log, without the signer, and return its index."""
    size = (await head(tx)).size
    event = Event(kind=KIND, door="host", detail={"digest": wanted.digest, "size": wanted.size})
    if refusal is not None:
        event = event.with_(decision="deny", reason=refusal.reason.value)
    else:
        said = {"alert": ALERT, "approvers": ".".join(names), "state": "resumed"}
        event = event.with_(
            detail={**(event.detail or {}), **said}, counts={"entries": size - wanted.size}
        )
    row = await tx.fetch_one(_APPEND, ([event.to_leaf(now_us)], size))
    if row is None:
        raise StoreError("audit_append answers nothing")
    return int(row[0])


async def _officers(
    tx: Transaction, wanted: Request, approvals: Sequence[Approval], now_us: int
) -> list[str]:
    """Return the names of those who signed, in order; raises the refusal.

    APPROVAL_SIGNATURE, APPROVAL_SAME_PERSON, SECOND_OFFICER_NEEDED, REVISION_STALE.
    """
    if not 0 <= now_us - wanted.made_us <= VALID_S * US_PER_S:
        raise refuse(Reason.REVISION_STALE)
    names: list[str] = []
    for one in approvals:
        parameters = (bytes.fromhex(one.certificate_sha256), now_us, roles.SECURITY_OFFICER)
        row = await tx.fetch_one(_OFFICER, parameters)
        if row is None:
            raise refuse(Reason.APPROVAL_SIGNATURE)
        try:
            one.verifies(load_pem_x509_certificate(row[0].encode()), wanted.statement)
        except ResumptionError as error:
            raise refuse(Reason.APPROVAL_SIGNATURE) from error
        names.append(row[1])
    if len(set(names)) < len(names):
        raise refuse(Reason.APPROVAL_SAME_PERSON)
    if len(names) != OFFICERS:
        raise refuse(Reason.SECOND_OFFICER_NEEDED)
    return sorted(names)


async def _frontier(tx: Transaction, size: int) -> Frontier:
    """Return the frontier of the first `size` entries, each leaf hashed anew; raises LogError."""
    found = Frontier()
    for begin in range(0, size, _STEP):
        end = min(size, begin + _STEP)
        row = await tx.fetch_one(_READ, (begin, end))
        hashes, wrong = (bytes(row[0] or b""), row[1]) if row else (b"", 0)
        if len(hashes) != (end - begin) * HASH_LENGTH:
            raise LogError(
                "ENTRY_MISSING", f"not all entries from {begin} to before {end} are there"
            )
        if wrong:
            raise LogError(
                "ENTRY_DIFFERS", f"{wrong} entries from {begin} on are not their hashes'"
            )
        found.extend(hashes[at : at + HASH_LENGTH] for at in range(0, len(hashes), HASH_LENGTH))
    return found
