"""The part of AdminService about tunnels: whose peer it is, and who comes in by another's tunnel.

The rules are `registry.tunnels`' and `registry.relations`'.
"""
# ruff: noqa: N802 -- methods have the names of the contract's rpcs

from google.protobuf.timestamp_pb2 import Timestamp

from gateway.audit.event import Event
from gateway.clock import Clock
from gateway.config.policies import TunnelRules
from gateway.errors import Reason, refuse
from gateway.identity import roles
from gateway.registry import relations, tunnel_keys, tunnels
from gateway.registry.relations import Relation
from gateway.registry.tunnels import Tunnel
from gateway.services import pages
from gateway.services.call import Call, told
from gateway.services.current import Current
from gateway.services.pages import Pages
from gateway.services.repeats import is_repeat
from gateway.services.requests import require_reason
from gateway.services.times import timestamp
from gateway.store.database import Database, Transaction
from gateway.v1 import admin_service_pb2 as pb

_KINDS = {
    pb.Tunnel.KIND_WIREGUARD: tunnels.WIREGUARD,
    pb.Tunnel.KIND_STRONGSWAN: tunnels.STRONGSWAN,
}
_NUMBERS = {word: number for number, word in _KINDS.items()}
_STATES = {tunnels.ACTIVE: "active", tunnels.LOCKED: "locked", tunnels.REMOVED: "removed"}
_RELATIONS = {pb.Relation.KIND_USES_TUNNEL_OF: relations.USES_TUNNEL_OF}


class TunnelService:
    """Serves the tunnels' rpcs of gateway.v1.AdminService."""

    def __init__(
        self,
        database: Database,
        current: Current,
        pages: Pages,
        rules: TunnelRules,
        clock: Clock,
    ) -> None:
        """Write for the province whose register this is; `rules` say how old a key may be."""
        self._database = database
        self._current = current
        self._pages = pages
        self._rules = rules
        self._clock = clock

    async def AddTunnel(self, call: Call, request: pb.AddTunnelRequest) -> pb.AddTunnelResponse:
        """Register a peer; raises FIELD_INVALID, ALREADY_EXISTS."""
        given = request.tunnel
        wanted = Tunnel(
            _KINDS.get(given.kind, ""),
            given.peer,
            given.organisation_code,
            tuple(given.addresses),
            follows=given.followed_peer or None,
        )

        async def work(tx: Transaction) -> Tunnel:
            await is_repeat(tx, call)
            return await tunnels.add(tx, wanted, self._clock.now_us())

        return pb.AddTunnelResponse(tunnel=self._message(await call.effect(work, _target)))

    async def ListTunnels(
        self, call: Call, request: pb.ListTunnelsRequest
    ) -> pb.ListTunnelsResponse:
        """List tunnels by organisation: the named one's, or all within reach."""
        size = pages.size(request)
        registry, top = await self._current.registry(), call.caller.organisation
        organisation, kind, peer = self._pages.position(call, request) or tunnels.FIRST
        async with self._database.transaction() as tx:
            found = await pages.gather(
                lambda at, count: tunnels.page(tx, request.organisation_code, at, count),
                _place,
                lambda one: registry.is_at_or_below(one.organisation, top),
                (str(organisation), str(kind), str(peer)),
                size + 1,
            )
        shown = found[:size]
        call.note(counts={"tunnels": len(shown)})
        more = len(found) > size
        return pb.ListTunnelsResponse(
            tunnels=map(self._message, shown),
            next_page_token=self._pages.seal(call, request, _place(shown[-1])) if more else "",
        )

    async def SetTunnelState(
        self, call: Call, request: pb.SetTunnelStateRequest
    ) -> pb.SetTunnelStateResponse:
        """Lock a tunnel, unlock it or remove it for ever; raises NOT_FOUND, FIELD_INVALID.

        Break-glass locks only: else POLICY_DENIED.
        """
        require_reason(request.reason)
        locks = request.state == pb.Tunnel.STATE_LOCKED
        if roles.BREAK_GLASS in call.caller.roles and not locks:
            raise refuse(Reason.POLICY_DENIED)
        kind = _KINDS.get(request.kind)
        if kind is None:
            raise refuse(Reason.NOT_FOUND)
        wanted = Tunnel(kind, request.peer, request.organisation_code, (), request.state)

        async def work(tx: Transaction) -> Tunnel:
            await is_repeat(tx, call)
            return await tunnels.set_state(tx, wanted, self._clock.now_us())

        return pb.SetTunnelStateResponse(tunnel=self._message(await call.effect(work, _state)))

    async def SetRelation(
        self, call: Call, request: pb.SetRelationRequest
    ) -> pb.SetRelationResponse:
        """Let an organisation come in by another's tunnel, or end that; raises FIELD_INVALID."""
        require_reason(request.reason)
        given = request.relation
        relation = Relation(
            given.organisation_code, given.relative_code, _RELATIONS.get(given.kind, "")
        )

        async def work(tx: Transaction) -> bool:
            await is_repeat(tx, call)
            change = relations.remove if request.ended else relations.create
            return await change(tx, relation)

        state = "ended" if request.ended else "active"
        changed = await call.effect(work, lambda _, event: _related(relation, state, event))
        await self._current.renew()
        return pb.SetRelationResponse(relation=given, changed=changed)

    def _message(self, found: Tunnel) -> pb.Tunnel:
        key = tunnel_keys.judge(found, self._rules, self._clock.now_us())
        return pb.Tunnel(
            organisation_code=found.organisation,
            kind=_NUMBERS[found.kind],
            peer=found.peer,
            addresses=found.addresses,
            state=pb.Tunnel.State.ValueType(found.state),
            create_time=timestamp(found.created_us),
            change_time=timestamp(found.changed_us),
            last_seen_time=_moment(found.last_seen_us),
            followed_peer=found.follows or "",
            first_seen_time=_moment(found.first_seen_us),
            following_peer=found.followed_by or "",
            key_state=pb.Tunnel.KeyState.Value(f"KEY_STATE_{key.state.upper()}"),
            key_step=pb.Tunnel.KeyStep.Value(f"KEY_STEP_{key.step.upper()}"),
            key_due_time=_moment(key.due_us),
            retire_time=_moment(key.until_us),
            unused_since_time=_moment(key.unused_since_us),
        )


def _place(tunnel: Tunnel) -> tuple[str, str, str]:
    return tunnel.organisation, tunnel.kind, tunnel.peer


def _moment(time_us: int | None) -> Timestamp | None:
    return None if time_us is None else timestamp(time_us)


def _target(found: Tunnel, event: Event) -> Event:
    words = {"target_organisation": found.organisation, "target_tunnel": found.peer}
    return told(event, detail=words)


def _state(found: Tunnel, event: Event) -> Event:
    return told(_target(found, event), detail={"state": _STATES[found.state]})


def _related(relation: Relation, state: str, event: Event) -> Event:
    words = {
        "target_organisation": relation.organisation,
        "relative_organisation": relation.relative,
        "relation": relation.kind,
        "state": state,
    }
    return told(event, detail=words)
