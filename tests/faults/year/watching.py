"""Holds every call of the simulated year against the model: the answer must be the predicted one, and then it happened there too."""

from collections import Counter
from collections.abc import Awaitable
from typing import Any

from google.rpc import error_details_pb2, status_pb2

from gateway.clock import TurnedClock
from gateway.names import parse_subject
from gateway.v1 import admin_service_pb2 as admin
from gateway.v1 import identity_service_pb2 as identity
from tests.faults.year import words
from tests.faults.year.model import Account, Key, Model
from tests.faults.year.wire import Asked, Context


class Watching:
    """The model's eye on the wire."""

    def __init__(self, model: Model, clock: TurnedClock) -> None:
        self.model, self.clock = model, clock
        # How often each answer was seen: (rpc, reason).
        self.seen: Counter[tuple[str, str]] = Counter()
        self.of: dict[Key, Counter[str]] = {}
        self.token = ""

    async def __call__(self, asked: Asked, answering: Awaitable[Context]) -> Context:
        """Predict, let it be answered, compare, remember."""
        name = asked.method.rpartition("/")[2]
        subject = parse_subject(asked.papers.subject)
        who = (subject.organisation, subject.name)
        self.token = asked.token
        expected, then = getattr(self, f"_{name.lower()}", _free)(who, asked.message)
        context = await answering
        found = reason_of(context)
        assert found == expected, f"{name} of {who}: {found or 'OK'}, not {expected or 'OK'}"
        self.seen[name, found] += 1
        self.of.setdefault(who, Counter())[found] += 1
        if not found:
            then(context.replies[0])
        return context

    # --- each rpc: what is expected, and what follows when it was allowed -------------------------

    def _login(self, who: Key, raw: bytes) -> Any:
        request, now = identity.LoginRequest.FromString(raw), self.clock.now_us()
        refused, which = self.model.shown(who, request.account_name, request.password, now)
        if refused:
            self.model.tell(who, f"login {refused}")

        def then(reply: bytes) -> None:
            token = identity.LoginResponse.FromString(reply).access_token
            self.model.opened(who, which, token, now)

        return refused, then

    def _changepassword(self, who: Key, raw: bytes) -> Any:
        request, now = identity.ChangePasswordRequest.FromString(raw), self.clock.now_us()
        refused, _ = self.model.shown(who, who[1], request.old_password, now)
        short = len(request.new_password) < words.length(now)
        if not refused and (short or self.model.too_soon(who, now)):
            refused = "PASSWORD_WEAK"
        if refused:
            self.model.tell(who, f"change {refused}")

        def then(reply: bytes) -> None:
            self.model.set(who, request.new_password, now)
            token = identity.ChangePasswordResponse.FromString(reply).access_token
            self.model.tokens[token] = (who, now)
            self.model.tell(who, "changed")

        return refused, then

    def _rotatesecret(self, who: Key, raw: bytes) -> Any:
        request, now = identity.RotateSecretRequest.FromString(raw), self.clock.now_us()
        refused, which = self.model.shown(who, who[1], request.old_secret, now)
        told = (request.new_secret, request.request_id, now)
        refused = refused or self.model.refuses_next(who, which, *told)
        if refused:
            self.model.tell(who, f"next {refused}")

        def then(*_: object) -> None:
            self.model.tell(who, self.model.give(who, *told))

        return refused, then

    def _whoami(self, who: Key, raw: bytes) -> Any:
        return self._with_token(who, raw, restricted_too=True)

    def _getcheckpoint(self, who: Key, raw: bytes) -> Any:
        return self._with_token(who, raw, restricted_too=False)

    def _with_token(self, who: Key, _: bytes, *, restricted_too: bool) -> Any:
        refused = self.model.works(self.token, self.clock.now_us(), restricted_too=restricted_too)
        word = "who" if restricted_too else "work"
        if refused:
            self.model.tell(who, f"{word} {refused}")
        return refused, lambda *_: self.model.tell(who, word)

    def _createaccount(self, _: Key, raw: bytes) -> Any:
        request, now = admin.CreateAccountRequest.FromString(raw), self.clock.now_us()
        key = (request.organisation_code, request.account_name)

        def then(reply: bytes) -> None:
            given = admin.CreateAccountResponse.FromString(reply).one_time_password
            self.model.accounts[key] = created(key, given, now, service=1 in request.roles)
            self.model.tell(key, "created")

        return "", then

    def _resetpassword(self, _: Key, raw: bytes) -> Any:
        request, now = admin.ResetPasswordRequest.FromString(raw), self.clock.now_us()
        key = (request.organisation_code, request.account_name)

        def then(reply: bytes) -> None:
            given = admin.ResetPasswordResponse.FromString(reply).one_time_password
            self.model.set(key, given, now, one_time=True)
            self.model.tell(key, "reset")

        return "", then

    def _unlockaccount(self, _: Key, raw: bytes) -> Any:
        request = admin.UnlockAccountRequest.FromString(raw)
        key = (request.organisation_code, request.account_name)

        def then(*_: object) -> None:
            self.model.unlock(key)
            self.model.tell(key, "unlocked")

        return "", then

    def _setaccountstate(self, _: Key, raw: bytes) -> Any:
        request, now = admin.SetAccountStateRequest.FromString(raw), self.clock.now_us()
        key = (request.organisation_code, request.account_name)
        state = {1: "active", 2: "suspended"}[request.state]

        def then(*_: object) -> None:
            self.model.turn(key, state, now)
            self.model.tell(key, state)

        return "", then


def created(key: Key, one_time: str, now: int, *, service: bool) -> Account:
    """A fresh account, as the policy has it."""
    ends = now + words.ONE_TIME_HOURS * words.HOUR
    return Account(key, service, one_time, now, ends, used=now)


def reason_of(context: Context) -> str:
    """The reason that a call was refused with, "" where it was not."""
    raw = dict(context.trailers).get("grpc-status-details-bin")
    if raw is None:
        return ""
    info = error_details_pb2.ErrorInfo()
    for detail in status_pb2.Status.FromString(raw).details:
        if detail.Is(info.DESCRIPTOR):
            detail.Unpack(info)
    return info.reason


def _free(*_: object) -> Any:
    return "", lambda *_: None
