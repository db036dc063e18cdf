"""`gateway tunnel invite`: registers a WireGuard peer and prints its configuration, once.

The private key is made at the county where that can be (`--public-key`); else here, shown this once
and kept nowhere.
"""

import base64
import ipaddress
import re
from dataclasses import dataclass
from typing import Annotated

import typer
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from gateway.cli.connected import ProfileOption, connected, load
from gateway.cli.output import USAGE, CommandError, JsonOption, LangOption, Output
from gateway.cli.paging import document, new_id
from gateway.client.client import Client
from gateway.client.profile import DEFAULT_NAME, Profile
from gateway.client.secret import Secret
from gateway.v1 import admin_service_pb2 as v1

Organisation = Annotated[str, typer.Argument(metavar="ORGANISATION", help="organisation.code")]
Addresses = Annotated[list[str], typer.Option("--address", help="tunnel.address")]
Endpoint = Annotated[str, typer.Option("--endpoint", help="tunnel.endpoint", metavar="HOST:PORT")]
ServerKey = Annotated[str, typer.Option("--server-key", help="tunnel.server-key")]
PublicKey = Annotated[str, typer.Option("--public-key", help="tunnel.public-key")]
Gateway = Annotated[str, typer.Option("--gateway", help="tunnel.gateway", metavar="ADDRESS")]
Follows = Annotated[str, typer.Option("--follows", help="tunnel.follows")]
# A handshake proves for 180 seconds, and is renewed after 120 by whoever sends: so somebody sends.
KEEPALIVE_S = 25
_ENDPOINT = re.compile(r"(?:[A-Za-z0-9.-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\]):[0-9]{1,5}", re.ASCII)
_KEY = re.compile(r"[A-Za-z0-9+/]{43}=", re.ASCII)
_KEY_BYTES = 32


@dataclass(frozen=True, slots=True)
class Line:
    """What a WireGuard configuration says: our networks, the VPN's endpoint and key, its reach."""

    addresses: tuple[str, ...]
    endpoint: str
    server_key: str
    gateway: str


def invite(  # noqa: PLR0913, PLR0917  one parameter per option
    organisation: Organisation,
    address: Addresses,
    endpoint: Endpoint,
    server_key: ServerKey,
    public_key: PublicKey = "",
    gateway: Gateway = "",
    follows: Follows = "",
    profile: ProfileOption = DEFAULT_NAME,
    json: JsonOption = False,
    lang: LangOption = "",
) -> None:
    """Register a WireGuard peer and print its configuration."""
    output, found = Output.of(json, lang), load(profile)
    line = drawn(tuple(address), endpoint, server_key, gateway or found.remote.host)
    told = registered(output, found, organisation, line, public_key, follows)
    output.result(told, output.text("tunnel.invited", **told))


def drawn(addresses: tuple[str, ...], endpoint: str, server_key: str, gateway: str) -> Line:
    """Return what a configuration is to say; raises CommandError for what could not stand there."""
    reach = _reach(gateway)
    return Line(addresses, _checked_endpoint(endpoint), _checked_key(server_key), reach)


def registered(
    output: Output, found: Profile, organisation: str, line: Line, public_key: str, follows: str
) -> dict[str, object]:
    """Register a peer; return the answer with both configurations, a new private key in the first.

    With the county's `public_key` none is made here.
    """
    private, public = (None, _checked_key(public_key)) if public_key else pair()
    wanted = v1.Tunnel(
        organisation_code=organisation,
        kind=v1.Tunnel.KIND_WIREGUARD,
        peer=public,
        addresses=line.addresses,
        followed_peer=follows,
    )

    async def work(client: Client) -> v1.AddTunnelResponse:
        request = v1.AddTunnelRequest(request_id=new_id(), tunnel=wanted)
        return await client.call(client.admin.AddTunnel, request)

    return {
        **document(connected(output, found, work)),
        "configuration": configuration(line, private),
        "gateway_peer": gateway_peer(line, public),
    }


def pair() -> tuple[Secret, str]:
    """Return a new private key and its public half, both base64 as WireGuard has them."""
    private = X25519PrivateKey.generate()
    public = private.public_key().public_bytes_raw()
    return Secret(_base64(private.private_bytes_raw())), _base64(public)


def configuration(line: Line, private: Secret | None) -> str:
    """Return the county's file for `wg-quick`, with the private key or the place where it lies."""
    # wg-quick(8) has this very line for a key that is in no configuration.
    own = (
        "PostUp = wg set %i private-key /etc/wireguard/%i.key"
        if private is None
        else f"PrivateKey = {private.value}"
    )
    return "\n".join(
        [
            "[Interface]",
            own,
            f"Address = {', '.join(line.addresses)}",
            "",
            "[Peer]",
            f"PublicKey = {line.server_key}",
            f"Endpoint = {line.endpoint}",
            f"AllowedIPs = {line.gateway}",
            f"PersistentKeepalive = {KEEPALIVE_S}",
        ]
    )


def gateway_peer(line: Line, public: str) -> str:
    """Return the part that the gateway's own WireGuard needs for this peer."""
    return "\n".join(
        ["[Peer]", f"PublicKey = {public}", f"AllowedIPs = {', '.join(line.addresses)}"]
    )


def _reach(text: str) -> str:
    """Return the gateway's address in the tunnel as a network."""
    try:
        return str(ipaddress.ip_network(text))
    except ValueError:
        raise CommandError("ADDRESS_INVALID", f"--gateway {text}", status=USAGE) from None


def _checked_endpoint(text: str) -> str:
    if _ENDPOINT.fullmatch(text) is None:
        raise CommandError("ENDPOINT_INVALID", "HOST:PORT", status=USAGE)
    return text


def _checked_key(text: str) -> str:
    fits = _KEY.fullmatch(text) is not None and len(base64.b64decode(text)) == _KEY_BYTES
    if not fits:
        raise CommandError("KEY_INVALID", "base64, 32 bytes", status=USAGE)
    return text


def _base64(raw: bytes) -> str:
    return base64.b64encode(raw).decode("ascii")
