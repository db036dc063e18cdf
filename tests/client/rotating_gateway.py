"""A small gateway whose account has two secrets: what the client's rotation meets, with answers that are lost before and after."""

import sys
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from google.protobuf.timestamp_pb2 import Timestamp

from gateway.client import papers, renewal
from gateway.client.profile import Profile
from gateway.client.renewal import Renewal
from gateway.errors import Reason, Violation, refuse
from gateway.v1 import identity_service_pb2 as ident
from tests.client.small_gateway import ACCOUNT, DAY_US, PASSWORD, SmallGateway

HOUR_US = DAY_US // 24
OVERLAP_US, LEAST_US, LIFE_US = 72 * HOUR_US, 24 * HOUR_US, 90 * DAY_US


@dataclass
class RotatingGateway(SmallGateway):
    """Keeps to the rules of identity.service_secrets; `before` and `after` are called around the commit of a call, by its name."""

    current: str = PASSWORD
    set_us: int = 0
    one_time: bool = False
    next: str = ""
    former: str = ""
    made_us: int = 0
    request_id: str = ""
    # Every next secret that was ever brought, in order.
    brought: list[str] = field(default_factory=list)
    before: Callable[[str], None] = lambda _: None
    after: Callable[[str], None] = lambda _: None

    def profile(self, folder: Path) -> Profile:
        """Here the certificate's renewal is nobody's business."""
        made = super().profile(folder)
        kept = Renewal.of(papers.read(self.papers.client[1]))
        renewal.save(folder, replace(kept, ask_every_us=sys.maxsize))
        return made

    def methods(self):
        rotate = (self.rotate, ident.RotateSecretRequest)
        return {**super().methods(), "/gateway.v1.IdentityService/RotateSecret": rotate}

    def login(self, request: ident.LoginRequest, _: str) -> ident.LoginResponse:
        self.before("Login")
        now_us = self.clock.now_us()
        if not self.set_us:
            self.set_us = now_us
        shown = self._shown(request.password) if request.account_name == ACCOUNT else ""
        if not shown:
            raise refuse(Reason.LOGIN_FAILED)
        if shown == "next":
            self.former, self.current, self.set_us = self.current, self.next, self.made_us
            self.next, self.one_time = "", False
        if shown == "former" and now_us >= self.made_us + OVERLAP_US:
            raise refuse(Reason.SECRET_REPLACED)
        token, expires = self._issue()
        answer = ident.LoginResponse(access_token=token, expire_time=expires)
        answer.password_state = ident.PASSWORD_STATE_CURRENT
        if shown == "former":
            answer.password_state = ident.PASSWORD_STATE_WARNED
        elif self.one_time:
            answer.password_state = ident.PASSWORD_STATE_MUST_CHANGE
        else:
            window = answer.secret_window
            window.start_time.FromMicroseconds(self.set_us + LIFE_US * 2 // 5)
            window.end_time.FromMicroseconds(self.set_us + LIFE_US * 3 // 5)
        self.after("Login")
        return answer

    def rotate(self, request: ident.RotateSecretRequest, token: str) -> ident.RotateSecretResponse:
        self._check(token)
        self.before("RotateSecret")
        self.brought.append(request.new_secret)
        shown, now_us = self._shown(request.old_secret), self.clock.now_us()
        if not shown:
            raise refuse(Reason.LOGIN_FAILED)
        known = self.request_id == request.request_id
        if not known or (self.next and now_us >= self.made_us + OVERLAP_US):
            if shown == "former":
                raise refuse(Reason.SECRET_REPLACED)
            if not self.one_time and now_us - max(self.made_us, self.set_us) < LEAST_US:
                rule = Violation("new_secret", "PW-AGE", "too soon", "too soon")
                raise refuse(Reason.PASSWORD_WEAK, violations=(rule,))
            self.next, self.made_us = request.new_secret, now_us
            self.request_id = request.request_id
        elif request.new_secret != (self.next or self.current):
            raise refuse(Reason.REQUEST_ID_REUSED)
        self.after("RotateSecret")
        ends = Timestamp()
        ends.FromMicroseconds(self.made_us + OVERLAP_US)
        return ident.RotateSecretResponse(overlap_end_time=ends)

    def reset(self, one_time: str) -> None:
        """What an officer's reset does."""
        self.current, self.next, self.former, self.request_id = one_time, "", "", ""
        self.set_us, self.made_us, self.one_time = self.clock.now_us(), 0, True
        self.tokens.clear()

    def clone(self, folder, other) -> Profile:
        """A copy of a profile's folder, as a backup or an image makes it."""
        copied = self.profile(other)
        for name in ("secret.json", "token.json"):
            if (folder / name).exists():
                (other / name).write_bytes((folder / name).read_bytes())
        return copied

    def _shown(self, secret: str) -> str:
        lapsed = self.clock.now_us() >= self.made_us + OVERLAP_US
        named = {"current": self.current, "former": self.former}
        if not lapsed:
            named["next"] = self.next
        return next((name for name, value in named.items() if value and value == secret), "")
