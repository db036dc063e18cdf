"""What `gateway tunnel list` and `show` tell: whose tunnel, how old its key, what comes next."""

from typing import Annotated

import typer

from gateway.cli.connected import connected
from gateway.cli.output import Output
from gateway.cli.paging import PAGE, documents, every
from gateway.cli.tables import table
from gateway.client.client import Client
from gateway.client.profile import Profile
from gateway.clock import SYSTEM, iso
from gateway.v1 import admin_service_pb2 as v1

Peer = Annotated[str, typer.Argument(metavar="PEER", help="tunnel.peer")]
_COLUMNS = (
    "organisation",
    "kind",
    "peer",
    "addresses",
    "state",
    "age",
    "due",
    "next",
    "last_seen",
)
_DAY_US = 86_400_000_000
_DATE = 10


def listed(output: Output, profile: Profile, organisation: str) -> list[v1.Tunnel]:
    """Return the tunnels of an organisation, or all within reach, page by page."""

    async def work(client: Client) -> list[v1.Tunnel]:
        async def ask(token: str) -> v1.ListTunnelsResponse:
            request = v1.ListTunnelsRequest(
                page_size=PAGE, page_token=token, organisation_code=organisation
            )
            return await client.call(client.admin.ListTunnels, request)

        return await every(ask, lambda answer: answer.tunnels)

    return connected(output, profile, work)


def tell(output: Output, tunnels: list[v1.Tunnel]) -> None:
    """Print tunnels."""
    headers = [output.text(f"tunnel.column.{column}") for column in _COLUMNS]
    human = table(headers, [_row(output, each) for each in tunnels])
    output.result({"tunnels": documents(tunnels)}, human)


def tell_each(output: Output, tunnels: list[v1.Tunnel]) -> None:
    """Print tunnels one by one, a line each of what is told."""
    headers = [output.text(f"tunnel.column.{column}") for column in _COLUMNS]
    told = [zip(headers, _row(output, each), strict=True) for each in tunnels]
    human = "\n\n".join("\n".join(f"{name}: {cell}" for name, cell in one) for one in told)
    output.result({"tunnels": documents(tunnels)}, human)


def word(state: v1.Tunnel.State.ValueType) -> str:
    """Return a state's word, as messages have it."""
    return v1.Tunnel.State.Name(state).removeprefix("STATE_").lower()


def _row(output: Output, each: v1.Tunnel) -> tuple[str, ...]:
    return (
        each.organisation_code,
        v1.Tunnel.Kind.Name(each.kind).removeprefix("KIND_").lower(),
        each.peer,
        " ".join(each.addresses),
        output.text(f"tunnel.state.{word(each.state)}"),
        output.text("tunnel.days", days=_days(each.create_time.ToMicroseconds())),
        _due(output, each),
        _next(output, each),
        _seen(output, each),
    )


def _due(output: Output, each: v1.Tunnel) -> str:
    if not each.HasField("key_due_time"):
        return ""
    due = iso(each.key_due_time.ToMicroseconds())[:_DATE]
    late = each.key_state == v1.Tunnel.KEY_STATE_WARNED
    return output.text("tunnel.overdue", date=due) if late else due


def _next(output: Output, each: v1.Tunnel) -> str:
    """Return with whom it overlaps, until when, and what is to be done."""
    if each.key_step == v1.Tunnel.KEY_STEP_RETIRE:
        until = each.retire_time.ToJsonString()
        return output.text("tunnel.next.retire", peer=each.following_peer, until=until)
    if each.key_step == v1.Tunnel.KEY_STEP_INSTALL:
        new = each.following_peer or each.peer
        return output.text("tunnel.next.install", peer=new)
    if each.key_step == v1.Tunnel.KEY_STEP_ROTATE:
        return output.text("tunnel.next.rotate")
    if each.key_state == v1.Tunnel.KEY_STATE_OVERLAPPING:
        return output.text("tunnel.next.overlaps", peer=each.followed_peer)
    return ""


def _seen(output: Output, each: v1.Tunnel) -> str:
    known = each.HasField("last_seen_time")
    seen = each.last_seen_time.ToJsonString() if known else output.text("tunnel.never")
    if not each.HasField("unused_since_time"):
        return seen
    days = _days(each.unused_since_time.ToMicroseconds())
    return output.text("tunnel.unused", seen=seen, days=days)


def _days(since_us: int) -> int:
    return max(0, SYSTEM.now_us() - since_us) // _DAY_US
