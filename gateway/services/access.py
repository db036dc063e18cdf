"""What an rpc demands of its caller, read from the `access` option of the contract.

An rpc without one stops the start.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from google.protobuf import message_factory
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.message import Message

from gateway.v1 import options_pb2


class MissingAccessError(Exception):
    """An rpc of the contract has no usable `access` option: the server does not start."""


@dataclass(frozen=True, slots=True)
class Access:
    """Who may call: roles as in `Principal.roles`, empty meaning every authenticated principal.

    Sizes in bytes.
    """

    roles: frozenset[str]
    needs_token: bool
    kind: str
    max_bytes: int
    password_expired_allowed: bool = False
    defective_certificate_allowed: bool = False
    token_welcome: bool = False
    password_grace_allowed: bool = False
    confirmed_within_s: int = 0


@dataclass(frozen=True, slots=True)
class Rpc:
    """One rpc.

    Its wire name ("/gateway.v1.IdentityService/Login"), parts, types, access and whether it
    streams: both ways (`streaming`), or only the answer (`sending`).
    """

    method: str
    service: str
    name: str
    request: type[Message]
    access: Access
    streaming: bool
    sending: bool = False


def read(services: Iterable[ServiceDescriptor]) -> Mapping[str, Rpc]:
    """Return the rpcs of these services by wire name.

    Raises MissingAccessError naming the first that lacks access.
    """
    return {rpc.method: rpc for service in services for rpc in map(_rpc, service.methods)}


def role_names(roles: Iterable[options_pb2.Role.ValueType]) -> frozenset[str]:
    """Return the words for numbers of the enum Role: ROLE_UPLOADER is "uploader"."""
    return frozenset(options_pb2.Role.Name(role).removeprefix("ROLE_").lower() for role in roles)


def _rpc(method: MethodDescriptor) -> Rpc:
    options = method.GetOptions()
    full = f"/{method.containing_service.full_name}/{method.name}"
    if not options.HasExtension(options_pb2.access):
        raise MissingAccessError(f"{full} has no access option")
    given = options.Extensions[options_pb2.access]
    if not given.audit_kind or not given.max_bytes or options_pb2.ROLE_UNSPECIFIED in given.roles:
        raise MissingAccessError(f"{full}: audit_kind, max_bytes and every role must be given")
    if (given.roles or given.confirmed_within_s) and not given.needs_token:
        raise MissingAccessError(f"{full}: roles or a confirmation without a token")
    if method.client_streaming and not method.server_streaming:
        raise MissingAccessError(f"{full}: streams only what is asked; the guard knows no such")
    access = Access(
        roles=role_names(given.roles),
        needs_token=given.needs_token,
        kind=given.audit_kind,
        max_bytes=given.max_bytes,
        password_expired_allowed=given.password_expired_allowed,
        defective_certificate_allowed=given.defective_certificate_allowed,
        token_welcome=given.token_welcome,
        password_grace_allowed=given.password_grace_allowed,
        confirmed_within_s=given.confirmed_within_s,
    )
    return Rpc(
        method=full,
        service=method.containing_service.full_name,
        name=method.name,
        request=message_factory.GetMessageClass(method.input_type),
        access=access,
        streaming=method.client_streaming,
        sending=method.server_streaming and not method.client_streaming,
    )
