"""The part of AuditService about witnesses: what they are asked, what they signed, who is one.

A gateway cannot vouch for itself: what it stores here convinces whoever verifies the lines with
keys known from elsewhere. It stores no line that is not good: no evidence hides among junk.
"""
# ruff: noqa: N802 -- methods have the names of the contract's rpcs

from gateway.audit import vouching
from gateway.audit.event import Event
from gateway.audit.recorder import Recorder
from gateway.clock import US_PER_S, Clock
from gateway.config import log_keys
from gateway.config.home import Home
from gateway.config.witnesses import WitnessRules
from gateway.errors import Reason, refuse
from gateway.registry import witnesses
from gateway.registry.witnesses import Witness
from gateway.services.call import Call, told
from gateway.services.repeats import is_repeat
from gateway.services.requests import invalid, require_reason
from gateway.store.database import Database, Transaction
from gateway.tlog.cosignature import Cosignature, verified
from gateway.tlog.keys import LogKeys
from gateway.tlog.merkle import SIZE_MAX
from gateway.tlog.note import NoteError, parse_vkey, split
from gateway.tlog.policy import Policy
from gateway.tlog.witness import AddCheckpoint
from gateway.v1 import audit_service_pb2 as pb

# One of each kind, and one more while a key is changed.
_LINES_MAX = 4
# A witness's clock may differ by so much (c2sp.org/tlog-cosignature: verifiers may refuse more).
_SKEW_S = 300


class WitnessService:
    """Serves the witnesses' rpcs of gateway.v1.AuditService."""

    def __init__(
        self, home: Home, database: Database, recorder: Recorder, rules: WitnessRules, clock: Clock
    ) -> None:
        """Ask for cosignatures upon the log that this recorder writes to, by these rules."""
        self._home, self._database, self._recorder = home, database, recorder
        self._rules, self._clock = rules, clock

    async def GetWitnessing(
        self, call: Call, request: pb.GetWitnessingRequest
    ) -> pb.GetWitnessingResponse:
        """Ask to cosign the checkpoint that is offered now; raises FIELD_INVALID."""
        old = request.old_size
        if old > SIZE_MAX:
            raise invalid("old_size", "SIZE", "Below 2^63.", "小于 2^63。")
        # This call's own leaf first: once it is signed, so is all that other doors wrote before it.
        await call.record(detail={"from_size": old})
        newest = self._recorder.checkpoints.newest.size, self._recorder.newest_checkpoint
        notes = log_keys.read(self._home.log_keys)
        async with self._database.transaction() as tx:
            size, note = await vouching.offer(tx, newest, self._rules, self._clock.now_us())
            policy = await self._policy(tx, notes)
            found = await vouching.confirmed(tx, policy)
        hashes = await self._recorder.log.consistency(old, size) if old <= size else []
        return pb.GetWitnessingResponse(
            add_checkpoint=AddCheckpoint(old, tuple(hashes), note).text(),
            log_keys=notes,
            restores=log_keys.read(self._home.restores),
            policy="" if policy is None else policy.text(),
            confirmed="" if found is None else found.note,
        )

    async def AddCosignatures(
        self, call: Call, request: pb.AddCosignaturesRequest
    ) -> pb.AddCosignaturesResponse:
        """Keep cosignatures; raises NOT_FOUND, WITNESS_UNKNOWN, COSIGNATURE_INVALID."""
        if not 1 <= len(request.cosignatures) <= _LINES_MAX:
            raise invalid("cosignatures", "COUNT", "One to four.", "一至四行。")
        if request.size > SIZE_MAX:
            raise refuse(Reason.NOT_FOUND)
        now_us = self._clock.now_us()

        async def work(tx: Transaction) -> Cosignature:
            await is_repeat(tx, call)
            note = await vouching.offered(tx, request.size)
            if note is None:
                raise refuse(Reason.NOT_FOUND)
            own = [
                one
                for one in await witnesses.counting(tx)
                if one.organisation == call.caller.organisation
            ]
            found = [_verified(note, line, own, now_us) for line in request.cosignatures]
            for one, line in zip(found, request.cosignatures, strict=True):
                vkey = str(one.key)
                if not await vouching.in_order(tx, request.size, vkey, one.time_s, _SKEW_S):
                    raise refuse(Reason.COSIGNATURE_INVALID)
                kept = (vkey, line, one.time_s)
                await vouching.store(tx, request.size, kept, now_us)
            return found[0]

        await call.effect(
            work,
            lambda found, event: told(
                event, detail={"size": request.size, "witness_key": found.key.key_id.hex()}
            ),
        )
        return pb.AddCosignaturesResponse()

    async def RegisterWitness(
        self, call: Call, request: pb.RegisterWitnessRequest
    ) -> pb.RegisterWitnessResponse:
        """Register a key; raises FIELD_INVALID, ALREADY_EXISTS."""

        async def work(tx: Transaction) -> Witness:
            await is_repeat(tx, call)
            return await witnesses.register(
                tx, request.organisation_code, request.vkey, self._clock.now_us()
            )

        await call.effect(work, _target)
        return pb.RegisterWitnessResponse()

    async def EndWitness(self, call: Call, request: pb.EndWitnessRequest) -> pb.EndWitnessResponse:
        """Let a key count no more; raises NOT_FOUND, FIELD_INVALID."""
        require_reason(request.reason)

        async def work(tx: Transaction) -> Witness:
            await is_repeat(tx, call)
            return await witnesses.end(
                tx, request.organisation_code, request.key_id, self._clock.now_us()
            )

        await call.effect(work, _target)
        return pb.EndWitnessResponse()

    async def _policy(self, tx: Transaction, notes: list[str]) -> Policy | None:
        key = parse_vkey(self._home.log_key.read_text(encoding="utf-8").strip())
        counting = [(one.organisation, one.key) for one in await witnesses.counting(tx)]
        return vouching.quorum(LogKeys.of(key, notes).verifiers, counting, self._rules)


def _verified(note: str, line: str, own: list[Witness], now_us: int) -> Cosignature:
    """Return the cosignature of a line over this note's text, by a key of these."""
    text, _ = split(note)
    try:
        # What is several lines would put more on record than was verified.
        if line.find("\n") != len(line) - 1:
            raise refuse(Reason.COSIGNATURE_INVALID)
        found = verified(f"{text}\n{line}", [one.key for one in own])
    except NoteError:
        raise refuse(Reason.COSIGNATURE_INVALID) from None
    if not found:
        raise refuse(Reason.WITNESS_UNKNOWN)
    [one] = found
    if one.time_s > now_us // US_PER_S + _SKEW_S:
        raise refuse(Reason.COSIGNATURE_INVALID)
    return one


def _target(found: Witness, event: Event) -> Event:
    words = {
        "target_organisation": found.organisation,
        "witness_key": found.key.key_id.hex(),
    }
    return told(event, detail=words)
