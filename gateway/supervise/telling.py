"""Tells on the audit log whose secret nears its end, and what its end brought: once each.

So that nobody who is restricted can say that it came without warning, and nobody that it did.
"""

from dataclasses import replace

from gateway.audit.event import Event
from gateway.audit.recorder import Effect, Recorder
from gateway.audit.words import DETAILS
from gateway.clock import Clock
from gateway.config.home import Home
from gateway.identity import secret_rows
from gateway.identity.census import Census
from gateway.identity.lives import HOST
from gateway.identity.rotation import Judgement, Secret
from gateway.store.database import Database, Transaction

# Of a list that is late the keeper of the lists tells (leaf crl.late).
_TOLD_ELSEWHERE = frozenset({"revocation-list"})
_ACCOUNTS = frozenset({"password", "service-secret"})


class Teller:
    """Remembers what was told; one per engine."""

    def __init__(self, home: Home, database: Database, recorder: Recorder, clock: Clock) -> None:
        """Work with the owner's database."""
        self._home = home
        self._database = database
        self._recorder = recorder
        self._clock = clock
        self._told: set[tuple[Secret, str]] | None = None

    async def tell(self) -> int:
        """Tell what was not told yet; return of how many secrets.

        Raises StoreError, UnavailableError, and what the files of HOME raise.
        """
        now_us = self._clock.now_us()
        async with self._database.transaction() as tx:
            if self._told is None:
                self._told = await secret_rows.told(tx)
            found = await Census.of(self._home).everything(tx, now_us)
        news = [(one, _which(one, now_us), what) for one in found if (what := _what(one))]
        fresh = [each for each in news if each[1:] not in self._told]
        for one, which, what in fresh:
            await self._recorder.append(self._event(one, what), self._noted(one, which, what))
            self._told.add((which, what))
        return len(fresh)

    def _event(self, judgement: Judgement, what: str) -> Event:
        kind = f"secret.{what.partition('-')[0]}"
        event = Event(kind=kind, door=self._recorder.door, detail=_detail(judgement))
        return event.with_(tunnel=judgement.secret.name) if _is_tunnel(judgement) else event

    def _noted(self, judgement: Judgement, which: Secret, what: str) -> Effect:
        event = self._event(judgement, what)

        async def effect(tx: Transaction) -> Event:
            await secret_rows.tell(tx, which, what, self._clock.now_us())
            return event

        return effect


def _which(judgement: Judgement, now_us: int) -> Secret:
    """Return what tells this secret from any other at its place: its key, else when it was made."""
    secret = judgement.secret
    return replace(secret, key_id=secret.key_id or str(now_us - judgement.age_us))


def _what(judgement: Judgement) -> str:
    """Return what is to be told of a secret as it stands; "" for nothing."""
    if judgement.secret.kind in _TOLD_ELSEWHERE:
        return ""
    if judgement.stage == "blocked":
        return "blocked" if judgement.late else ""
    if judgement.stage == "restricted":
        # A one-time password is restricted from its first day, and nobody missed anything.
        return "restricted" if judgement.late else ""
    return f"warned-{judgement.warnings}" if judgement.stage == "warned" else ""


def _detail(judgement: Judgement) -> dict[str, str | int]:
    """Return whose secret it is and until when; a name that might be a person's is left out."""
    secret = judgement.secret
    told: dict[str, str | int] = {"secret": secret.kind, "generation": max(0, secret.generation)}
    if judgement.due_us is not None:
        told["not_after_us"] = judgement.due_us
    if secret.owner != HOST:
        told["target_organisation"] = secret.owner
    if secret.kind in _ACCOUNTS:
        told["target_account"] = secret.name
    if secret.kind == "client-certificate":
        kind, _, name = secret.name.partition("/")
        told |= {"target_subject_kind": kind, "target_subject_name": name.partition(" ")[0]}
    return {name: value for name, value in told.items() if _fits(name, value)}


def _fits(name: str, value: str | int) -> bool:
    grammar = DETAILS[name]
    return grammar is None or grammar.fullmatch(str(value)) is not None


def _is_tunnel(judgement: Judgement) -> bool:
    return judgement.secret.kind == "tunnel-key"
