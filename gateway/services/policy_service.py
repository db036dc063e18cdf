"""The part of AdminService by which two security officers of the province put policies in force."""
# ruff: noqa: N802 -- methods have the names of the contract's rpcs

from gateway.audit.event import Event
from gateway.clock import Clock
from gateway.config.activation import ActivationRules
from gateway.policy import activation, evidence, proposing
from gateway.policy.bundle import Bundle
from gateway.policy.proposing import Done, Proposal, Signature
from gateway.services.call import Call, told
from gateway.services.current import Current
from gateway.services.repeats import is_repeat
from gateway.services.requests import invalid
from gateway.services.times import timestamp
from gateway.store.database import Database, Transaction
from gateway.v1 import admin_service_pb2 as pb

_DIGEST_LENGTH = 64


class PolicyService:
    """Serves the policies' rpcs of gateway.v1.AdminService."""

    def __init__(
        self, database: Database, current: Current, rules: ActivationRules, clock: Clock
    ) -> None:
        """Take signatures under these rules."""
        self._database = database
        self._current = current
        self._rules = rules
        self._clock = clock

    async def GetPolicies(
        self, _call: Call, _request: pb.GetPoliciesRequest
    ) -> pb.GetPoliciesResponse:
        """Show what is in force and what waits."""
        trust = self._current.trust
        async with self._database.transaction() as tx:
            active = await activation.in_force(tx, trust)
            waiting = await proposing.proposals(tx, trust)
        return pb.GetPoliciesResponse(
            number=active.number,
            active=_bundle(active.bundle),
            activate_time=timestamp(active.activated_us),
            proposals=[self._proposal(one) for one in waiting],
        )

    async def ApprovePolicies(
        self, call: Call, request: pb.ApprovePoliciesRequest
    ) -> pb.ApprovePoliciesResponse:
        """Sign a proposal; the leaf tells for which activation, and in which roles.

        Raises as `proposing.sign`, and FIELD_INVALID for what is no digest.
        """
        sha256 = request.sha256
        if len(sha256) != _DIGEST_LENGTH or set(sha256) - set("0123456789abcdef"):
            raise invalid("sha256", "SHA256", "64 lower-case hex digits.", "64 位小写十六进制。")
        call.note(detail={"target_bundle": sha256})
        caller, trust = call.caller, self._current.trust
        mine = Signature(
            caller.subject.name,
            caller.account,
            caller.certificate_sha256,
            request.signature,
            self._clock.now_us(),
        )

        async def work(tx: Transaction) -> tuple[Done | None, bool]:
            if await is_repeat(tx, call):
                return None, (await activation.in_force(tx, trust)).bundle.sha256 == sha256
            done = await proposing.sign(tx, trust, sha256, mine, self._rules)
            return done, done.active

        def tell(result: tuple[Done | None, bool], event: Event) -> Event:
            done, active = result
            if done is None:
                # What is asked again signs nothing more.
                words: dict[str, str | int] = {
                    "state": evidence.ACTIVE if active else evidence.SIGNED
                }
            else:
                words = evidence.signature(done.number, caller.roles, active=active)
            return told(event, detail=words)

        _, active = await call.effect(work, tell)
        await self._current.renew()
        return pb.ApprovePoliciesResponse(active=active)

    def _proposal(self, one: Proposal) -> pb.PolicyProposal:
        return pb.PolicyProposal(
            number=one.number,
            bundle=_bundle(one.bundle),
            propose_time=timestamp(one.proposed_us),
            open_time=timestamp(one.opens_us(self._rules)),
            signatures=[
                pb.PolicyProposal.Signature(
                    officer_name=signed.person, sign_time=timestamp(signed.signed_us)
                )
                for signed in one.signatures
            ],
            newly_allowed=one.change.newly_allowed,
            newly_denied=one.change.newly_denied,
            replayed_count=one.change.replayed,
            not_replayed_count=one.change.not_replayed,
        )


def _bundle(one: Bundle) -> pb.PolicyBundle:
    """Return what the digest covers: the caller computes it anew."""
    files = [pb.PolicyBundle.File(name=name, text=text) for name, text in one.texts.items()]
    return pb.PolicyBundle(sha256=one.sha256, files=files)
