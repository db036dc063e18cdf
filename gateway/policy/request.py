"""What is asked of the policy: hashable values of established facts, no caller's text."""

from dataclasses import dataclass
from typing import Literal

# The resource types of policies/cedar/schema.cedarschema.
ResourceKind = Literal["UnitRecords", "Evidence", "Register", "AuditLog", "Checkpoints", "Session"]
Strength = Literal["weak", "proven"]


@dataclass(frozen=True, slots=True)
class Actor:
    """Who asks: organisation, the chain from it (first) up to the province, roles, origin."""

    organisation: str
    chain: tuple[str, ...]
    roles: frozenset[str]
    origin: Strength


@dataclass(frozen=True, slots=True)
class Resource:
    """What is asked for. `chain`: its organisation and those above.

    Empty when none is registered, which denies. `unit` is the unit's code for UnitRecords, else "";
    `uploaders` the organisations with a delegated duty for it.
    """

    kind: ResourceKind
    chain: tuple[str, ...] = ()
    unit: str = ""
    uploaders: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Context:
    """The circumstances: is the password current, do the settings take a weak origin.

    `system_in_grace`: a system's password ended, and lately enough for its uploads to go on.
    """

    password_current: bool
    weak_origin_allowed: bool
    system_in_grace: bool = False


@dataclass(frozen=True, slots=True)
class Request:
    """May this actor do this action (the rpc's name) to this resource under these circumstances."""

    action: str
    actor: Actor
    resource: Resource
    context: Context
