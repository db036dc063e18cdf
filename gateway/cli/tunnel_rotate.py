"""`gateway tunnel rotate`: registers the successor of a WireGuard peer, prints its configuration.

Old and new work side by side; the old one is retired by itself some time after the new one was
first used. WireGuard routes an address to one peer alone: for a true overlap the successor needs
addresses of its own, else they move to it as soon as the gateway's WireGuard knows it.
"""

from typing import Annotated

import typer

from gateway.cli.connected import ProfileOption, load
from gateway.cli.output import USAGE, CommandError, JsonOption, LangOption, Output
from gateway.cli.tunnel_invite import (
    Endpoint,
    Gateway,
    Organisation,
    PublicKey,
    ServerKey,
    drawn,
    registered,
)
from gateway.cli.tunnel_list import Peer, listed
from gateway.client.profile import DEFAULT_NAME
from gateway.errors import Reason, refuse
from gateway.v1 import admin_service_pb2 as v1

NewAddresses = Annotated[list[str] | None, typer.Option("--address", help="tunnel.new-address")]


def rotate(  # noqa: PLR0913, PLR0917  one parameter per option
    organisation: Organisation,
    peer: Peer,
    endpoint: Endpoint,
    server_key: ServerKey,
    address: NewAddresses = None,
    public_key: PublicKey = "",
    gateway: Gateway = "",
    profile: ProfileOption = DEFAULT_NAME,
    json: JsonOption = False,
    lang: LangOption = "",
) -> None:
    """Register a peer's successor and print its configuration."""
    output, found = Output.of(json, lang), load(profile)
    old = _replaced(listed(output, found, organisation), peer)
    addresses = tuple(address or old.addresses)
    line = drawn(addresses, endpoint, server_key, gateway or found.remote.host)
    told = registered(output, found, organisation, line, public_key, peer)
    moves = not set(addresses).isdisjoint(old.addresses)
    how = output.text("tunnel.moves" if moves else "tunnel.overlaps", peer=peer)
    human = f"{output.text('tunnel.invited', **told)}\n\n# {how}"
    output.result({**told, "replaces": peer, "addresses_move": moves}, human)


def _replaced(tunnels: list[v1.Tunnel], peer: str) -> v1.Tunnel:
    """Return the active peer of this name; raises NOT_FOUND, CommandError."""
    for one in tunnels:
        if one.peer == peer and one.state == v1.Tunnel.STATE_ACTIVE:
            if one.kind != v1.Tunnel.KIND_WIREGUARD:
                raise CommandError("KIND_UNKNOWN", "wireguard", status=USAGE)
            return one
    raise refuse(Reason.NOT_FOUND)
