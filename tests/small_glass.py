"""A small gateway that also answers for break-glass, and remembers what it was told."""

from dataclasses import dataclass, field

from gateway.errors import Reason, refuse
from gateway.v1 import admin_service_pb2 as ad
from gateway.v1 import break_glass_service_pb2 as pb
from gateway.v1 import identity_service_pb2 as ident
from tests.cli.small_admin import SmallAdmin
from tests.client.renewing_gateway import stamp

OPENING = "11111111-2222-4333-8444-555555555555"
TEXTS = ("0123-4567-89ab-cdef-ghjk-mnpq-rstv-wxyz", "zyxw-vtsr-qpnm-kjhg-fedc-ba98-7654-3210")
CODE = "abcde-fghjk-mnpqr-stvwx"
SERVICE = "/gateway.v1.BreakGlassService/"


@dataclass
class SmallGlass(SmallAdmin):
    """Also: break-glass, as far as an officer sees of it."""

    opened: list[pb.OpenBreakGlassRequest] = field(default_factory=list)
    confirmed: int = 0
    state: str = "sealed"
    notice: ident.BreakGlassNotice | None = None
    # The leaf that the opening's reason is sealed beside; None: it stands in the row, as an older gateway's.
    sealed_beside: int | None = None

    def methods(self):
        return {
            **super().methods(),
            SERVICE + "SealBreakGlass": (self.seal, pb.SealBreakGlassRequest),
            SERVICE + "RegisterBreakGlassCode": (self.code, pb.RegisterBreakGlassCodeRequest),
            SERVICE + "OpenBreakGlass": (self.open, pb.OpenBreakGlassRequest),
            SERVICE + "ConfirmBreakGlass": (self.confirm_opening, pb.ConfirmBreakGlassRequest),
            SERVICE + "EnterBreakGlass": (self.enter, pb.EnterBreakGlassRequest),
            SERVICE + "CloseBreakGlass": (self.close, pb.CloseBreakGlassRequest),
            "/gateway.v1.AdminService/GetBreakGlass": (self.show, ad.GetBreakGlassRequest),
        }

    def login(self, request, token):
        answer = super().login(request, token)
        if self.notice is not None:
            answer.break_glass.CopyFrom(self.notice)
        return answer

    def seal(self, request, token):
        self._check(token)
        if len(set(request.officer_names)) != 3:
            raise refuse(Reason.FIELD_INVALID)
        return pb.SealBreakGlassResponse(sealed_texts=TEXTS)

    def code(self, request, token):
        self._check(token)
        return pb.RegisterBreakGlassCodeResponse(code=CODE, registered_count=2)

    def open(self, request, token):
        assert token == ""
        if request.sealed_credential not in TEXTS:
            raise refuse(Reason.BREAK_GLASS_FAILED)
        self.opened.append(request)
        return pb.OpenBreakGlassResponse(opening_id=OPENING, confirm_until_time=stamp(900_000_000))

    def confirm_opening(self, request, token):
        assert token == ""
        if request.secret_code != CODE:
            raise refuse(Reason.BREAK_GLASS_FAILED)
        self.confirmed += 1
        opened = stamp(3_600_000_000) if self.confirmed > 1 else None
        return pb.ConfirmBreakGlassResponse(
            opener_name="wang",
            ticket="OPS-1",
            drill=self.opened[-1].drill,
            confirmed_count=self.confirmed,
            open_until_time=opened,
        )

    def enter(self, request, token):
        assert token == ""
        if self.confirmed < 2:
            raise refuse(Reason.BREAK_GLASS_WAITING)
        expire_us = self.clock.now_us() + 600_000_000
        self.tokens["of-break-glass"] = expire_us
        self.bound["of-break-glass"] = self.presented
        return pb.EnterBreakGlassResponse(
            access_token="of-break-glass",
            expire_time=stamp(expire_us),
            open_until_time=stamp(expire_us),
            drill=self.opened[-1].drill,
        )

    def close(self, request, token):
        self._check(token)
        return pb.CloseBreakGlassResponse(sealing_void=self.confirmed > 1)

    def show(self, request, token):
        self._check(token)
        if self.state == "never-sealed":
            return ad.GetBreakGlassResponse(state=self.state)
        kind = ad.GetBreakGlassResponse
        act = kind.Act(
            time=stamp(1),
            leaf_index=7,
            kind="admin.account.unlock",
            decision="allow",
            target="140100 hub",
        )
        opening = kind.Opening(
            opening_id=OPENING, envelope=1, opener_name="wang", reason="locked out", ticket="OPS-1",
            ask_time=stamp(1), open_time=stamp(2), end_time=stamp(3), confirmer_names=["li", "zhao"], acts=[act],
        )  # fmt: skip
        if self.sealed_beside is not None:
            opening.reason, opening.reason_leaf_index = "", self.sealed_beside
        officers = [kind.Officer(name="li", registered=True), kind.Officer(name="zhao")]
        return kind(
            state=self.state,
            seal_time=stamp(1),
            officers=officers,
            unspent_envelopes=1,
            openings=[opening],
            last_drill_time=stamp(5),
        )
