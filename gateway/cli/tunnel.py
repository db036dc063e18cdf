"""`gateway tunnel add|list|show|lock|unlock|remove|relate|invite|rotate`: whose tunnel is whose."""

from collections.abc import Callable
from typing import Annotated, Literal

import typer

from gateway.cli import tunnel_invite, tunnel_list, tunnel_rotate
from gateway.cli.connected import ProfileOption, connected, load
from gateway.cli.output import USAGE, CommandError, JsonOption, LangOption, Output
from gateway.cli.paging import document, new_id
from gateway.cli.tunnel_list import Peer, listed
from gateway.client.client import Client
from gateway.client.profile import DEFAULT_NAME
from gateway.errors import Reason, refuse
from gateway.v1 import admin_service_pb2 as v1

KINDS = ("wireguard", "strongswan")
Organisation = Annotated[str, typer.Argument(metavar="ORGANISATION", help="organisation.code")]
Relative = Annotated[str, typer.Argument(metavar="OWNER", help="tunnel.owner")]
Kind = Annotated[str, typer.Option("--kind", help="tunnel.kind", metavar="|".join(KINDS))]
Addresses = Annotated[list[str], typer.Option("--address", help="tunnel.address")]
Follows = Annotated[str, typer.Option("--follows", help="tunnel.follows")]
OfOrganisation = Annotated[str, typer.Option("--organisation", help="tunnel.of")]
Reasoned = Annotated[str, typer.Option("--reason", help="tunnel.reason")]
End = Annotated[bool, typer.Option("--end", help="tunnel.end")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    noun = typer.Typer(help="tunnel.help", no_args_is_help=True)
    noun.command("add", help="tunnel.add.help")(add)
    noun.command("list", help="tunnel.list.help")(list_)
    noun.command("show", help="tunnel.show.help")(show)
    noun.command("lock", help="tunnel.lock.help")(_setting("locked"))
    noun.command("unlock", help="tunnel.unlock.help")(_setting("active"))
    noun.command("remove", help="tunnel.remove.help")(_setting("removed"))
    noun.command("relate", help="tunnel.relate.help")(relate)
    noun.command("invite", help="tunnel.invite.help")(tunnel_invite.invite)
    noun.command("rotate", help="tunnel.rotate.help")(tunnel_rotate.rotate)
    app.add_typer(noun, name="tunnel")


def add(
    organisation: Organisation,
    peer: Peer,
    address: Addresses,
    kind: Kind = "wireguard",
    follows: Follows = "",
    profile: ProfileOption = DEFAULT_NAME,
    json: JsonOption = False,
    lang: LangOption = "",
) -> None:
    """Register a peer as an organisation's tunnel."""
    output, found = Output.of(json, lang), load(profile)
    wanted = v1.Tunnel(
        organisation_code=organisation,
        kind=_kind(kind),
        peer=peer,
        addresses=address,
        followed_peer=follows,
    )

    async def work(client: Client) -> v1.AddTunnelResponse:
        request = v1.AddTunnelRequest(request_id=new_id(), tunnel=wanted)
        return await client.call(client.admin.AddTunnel, request)

    answer = connected(output, found, work)
    output.result(document(answer), output.text("tunnel.added", peer=peer, code=organisation))


def list_(
    organisation: OfOrganisation = "",
    profile: ProfileOption = DEFAULT_NAME,
    json: JsonOption = False,
    lang: LangOption = "",
) -> None:
    """List tunnels."""
    output = Output.of(json, lang)
    tunnel_list.tell(output, listed(output, load(profile), organisation))


def show(
    peer: Peer,
    profile: ProfileOption = DEFAULT_NAME,
    json: JsonOption = False,
    lang: LangOption = "",
) -> None:
    """Show one peer's tunnel."""
    output = Output.of(json, lang)
    found = [one for one in listed(output, load(profile), "") if one.peer == peer]
    if not found:
        raise refuse(Reason.NOT_FOUND)
    tunnel_list.tell_each(output, found)


def relate(
    organisation: Organisation,
    owner: Relative,
    reason: Reasoned,
    end: End = False,
    profile: ProfileOption = DEFAULT_NAME,
    json: JsonOption = False,
    lang: LangOption = "",
) -> None:
    """Let an organisation come in by its owner's tunnel, or end that."""
    output, found = Output.of(json, lang), load(profile)
    relation = v1.Relation(
        organisation_code=organisation,
        relative_code=owner,
        kind=v1.Relation.KIND_USES_TUNNEL_OF,
    )

    async def work(client: Client) -> v1.SetRelationResponse:
        request = v1.SetRelationRequest(
            request_id=new_id(), relation=relation, ended=end, reason=reason
        )
        return await client.call(client.admin.SetRelation, request)

    answer = connected(output, found, work)
    said = "tunnel.relation-ended" if end else "tunnel.related"
    output.result(document(answer), output.text(said, code=organisation, owner=owner))


def _kind(word: str) -> v1.Tunnel.Kind.ValueType:
    if word not in KINDS:
        raise CommandError("KIND_UNKNOWN", " | ".join(KINDS), status=USAGE)
    return v1.Tunnel.Kind.Value(f"KIND_{word.upper()}")


def _setting(state: Literal["locked", "active", "removed"]) -> Callable[..., None]:
    """Return the command that gives a tunnel a state; unless it is active, connections are cut."""

    def command(
        organisation: Organisation,
        peer: Peer,
        reason: Reasoned,
        kind: Kind = "wireguard",
        profile: ProfileOption = DEFAULT_NAME,
        json: JsonOption = False,
        lang: LangOption = "",
    ) -> None:
        output, found = Output.of(json, lang), load(profile)
        request = v1.SetTunnelStateRequest(
            request_id=new_id(),
            organisation_code=organisation,
            kind=_kind(kind),
            peer=peer,
            state=v1.Tunnel.State.Value(f"STATE_{state.upper()}"),
            reason=reason,
        )

        async def work(client: Client) -> v1.SetTunnelStateResponse:
            return await client.call(client.admin.SetTunnelState, request)

        answer = connected(output, found, work)
        output.result(document(answer), output.text(f"tunnel.now.{state}", peer=peer))

    return command
