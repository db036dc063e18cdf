"""The client renews its certificate by itself, at a moment of the gateway's window, and unnoticed.

`look` is cheap and called often: at each call, each answer of an upload and once a minute. What is
due is done in the background, by one process of those that share a profile (`slots.renewing`), in
the steps of `renewal`. To exchange, streams come to an end by themselves, calls wait some
milliseconds, channels close and open again. A failure is tried again later with the same new key,
and never fails what the client was asked to do; a disk that keeps no journal is one too.
"""

import asyncio
import sys
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

from gateway.client import papers, renewal, slots
from gateway.client.channel import Channels
from gateway.client.files import make_private, write_private
from gateway.client.papers import Certificate, PapersError
from gateway.client.renewal import Renewal
from gateway.client.secret import Secret
from gateway.client.session import SESSION_OVER, Session
from gateway.clock import US_PER_S, Clock
from gateway.errors import Reason, Refusal
from gateway.v1 import certificate_pb2
from gateway.v1 import identity_service_pb2 as v1
from gateway.v1.identity_service_pb2_grpc import IdentityServiceStub

# The other processes of a profile close their connections within this time, or it is tried later.
EXCHANGE_WAIT_S = 10.0
_POLL_S = 0.05
# Looks for another process's renewal to end: some 30 s.
_TURNS = 600
_EXCHANGE_AGAIN_S = 600.0
# An answer of this age is asked for again before the exchange: its token would soon end.
_ANSWER_LIFE_US = 120 * US_PER_S
# What a renewal fails of: the gateway's refusal, papers that are not what they should be, the disk.
_FAULTS = (Refusal, PapersError, OSError)


class Rotation:
    """The renewals of one profile, as one of its processes sees to them."""

    def __init__(self, channels: Channels, session: Session, *, clock: Clock) -> None:
        """Do nothing until the first look."""
        self._channels, self._session, self._clock = channels, session, clock
        self._profile = channels.profile.folder
        self._stub = IdentityServiceStub(channels.to("identity"))
        self._task: asyncio.Task[None] | None = None
        self._one = asyncio.Lock()
        self._known: tuple[int, Renewal] | None = None
        # After a failure that no journal could be written of: its count and pause.
        self._unkept = Renewal("")
        self._exchange_at = 0.0
        self._mended = ""

    @property
    def certificate(self) -> Certificate:
        """The certificate in use; raises PapersError."""
        return papers.read(self._channels.profile.certificate.read_bytes())

    @property
    def renewal(self) -> Renewal:
        """How far the renewal of the certificate in use is; raises PapersError, OSError."""
        kept, ours = renewal.load(self._profile, self.certificate), self._unkept
        if ours.serial != kept.serial or ours.failures <= kept.failures:
            return kept
        return replace(kept, failures=ours.failures, again_us=ours.again_us)

    def look(self) -> None:
        """Begin in the background what is due."""
        if self._task is None or self._task.done():
            try:
                kept, now_us = self._noted(), self._clock.now_us()
            except OSError:  # what cannot be read now is looked at again
                return
            due = kept.due(now_us) and self._clock.monotonic() >= self._exchange_at
            if due or kept.window_due(now_us):
                self._task = asyncio.create_task(self._unnoticed())

    async def settled(self) -> None:
        """Wait until nothing is being done."""
        if self._task is not None:
            await asyncio.wait([self._task])

    async def renew(self) -> bool:
        """Renew now; returns whether the new certificate is in use.

        It is not while another process keeps connections open with the old one: then the exchange
        follows later, by whichever process comes to it. Raises the refusal, PapersError, OSError.
        """
        async with self._one:
            try:
                return await self._at_once()
            except _FAULTS as error:
                self._failed(error)
                raise

    async def mend(self, refusal: Refusal) -> bool:
        """Renew a certificate that has expired, once; returns whether to repeat the call."""
        if refusal.reason is not Reason.CERT_EXPIRED:
            return False
        refused = self.certificate.serial
        async with self._one:
            if self.certificate.serial != refused:
                return True
            if self._mended == refused:
                return False
            self._mended = refused
            try:
                return await self._at_once()
            except _FAULTS as error:
                self._failed(error)
                return False

    async def _unnoticed(self) -> None:
        async with self._one:
            try:
                await self._advance(lambda kept: kept.due(self._clock.now_us()))
            except _FAULTS as error:
                self._failed(error)

    def _failed(self, error: Exception) -> None:
        with suppress(PapersError, OSError):  # nothing is due either while these cannot be read
            kept = self.renewal.failed(self._clock.now_us())
            if isinstance(error, Refusal) and error.reason is Reason.FIELD_INVALID:
                kept = replace(kept, state="")  # this key will never do
            # Before it is written: where the disk is full the pause is kept here alone.
            self._unkept, self._known = kept, None
            self._save(kept)

    async def _at_once(self) -> bool:
        """Renew, whatever the moment; waits for another process that is at it."""
        for _ in range(_TURNS):
            done = await self._advance(lambda _: True)
            if done is not None:
                return done
            await asyncio.sleep(_POLL_S)
        return False

    async def _advance(self, wanted: Callable[[Renewal], bool]) -> bool | None:
        """Go as far as can be; returns whether a new certificate is in use.

        None: another process is renewing.
        """
        with slots.renewing(self._profile) as alone:
            if not alone:
                return None
            kept = self.renewal
            if kept.window_due(self._clock.now_us()):
                kept = await self._window(kept)
            if not wanted(kept):
                return False
            if not self._fresh(kept):
                kept = await self._obtain(kept)
        return await self._exchange()

    def _fresh(self, kept: Renewal) -> bool:
        age_us = self._clock.now_us() - kept.issued_us
        return kept.state == "issued" and (
            age_us < _ANSWER_LIFE_US or self._session.alive() is None
        )

    async def _window(self, kept: Renewal) -> Renewal:
        """Ask for the gateway's window; where the certificate is defective it has none."""
        answer = await self._channels.call_once(self._stub.Diagnose, v1.DiagnoseRequest())
        window = _window(answer.renewal_window)
        now_us = self._clock.now_us()
        told = kept.told(window, now_us) if any(window) else replace(kept, window_asked_us=now_us)
        return self._save(told)

    async def _obtain(self, kept: Renewal) -> Renewal:
        """Get the next certificate into the next slot: steps 2 to 5 of `renewal`."""
        slot, certificate = self._channels.profile.slot.after, self.certificate
        if not kept.state:
            make_private(slot.folder)
            write_private(slot.key, papers.new_key())
            kept = self._save(replace(kept, state="asked"))
        key = slot.key.read_bytes()
        request = v1.RenewCertificateRequest(request_id=str(uuid.uuid4()), csr=papers.request(key))
        answer = await self._asked(request)
        pem, found = papers.issued(answer.certificate.certificate, key, self._clock.now_us())
        if found.subject != certificate.subject:
            raise PapersError("the certificate names another subject")
        write_private(slot.certificate, pem)
        slot.token.unlink(missing_ok=True)
        if answer.access_token:
            self._session.keep_in(
                slot.token, answer.access_token, answer.token_expire_time.ToMicroseconds()
            )
        now_us = self._clock.now_us()
        return self._save(replace(kept, state="issued", issued_us=now_us, failures=0, again_us=0))

    async def _asked(self, request: v1.RenewCertificateRequest) -> v1.RenewCertificateResponse:
        """Ask with the session's token, so that it is exchanged; without, where it has ended."""
        token: Secret | None = self._session.alive()
        try:
            return await self._channels.call_once(self._stub.RenewCertificate, request, token)
        except Refusal as refusal:
            if token is None or refusal.reason not in SESSION_OVER:
                raise
        return await self._channels.call_once(self._stub.RenewCertificate, request)

    async def _exchange(self) -> bool:
        """Make the next slot current once no process has connections open with the old one."""
        old = self._channels.profile.slot
        self._exchange_at = self._clock.monotonic() + _EXCHANGE_AGAIN_S
        async with self._channels.closed():
            try:
                async with asyncio.timeout(EXCHANGE_WAIT_S):
                    while not slots.exchange(old, old.after):  # noqa: ASYNC110  no event comes from another process
                        await asyncio.sleep(_POLL_S)
            except TimeoutError:
                return False
            self._session.take_up()
        self._known, self._exchange_at = None, 0.0
        return True

    def _noted(self) -> Renewal:
        """Return the journal; read again only when it changed, or another certificate is in use."""
        try:
            changed = renewal.journal(self._profile).stat().st_mtime_ns
        except FileNotFoundError:
            changed = 0
        if self._known is None or self._known[0] != changed:
            try:
                self._known = (changed, self.renewal)
            except PapersError:  # a profile with foreign papers is never renewed
                self._known = (changed, Renewal("", ask_every_us=sys.maxsize))
        return self._known[1]

    def _save(self, kept: Renewal) -> Renewal:
        renewal.save(self._profile, kept)
        self._known, self._unkept = None, Renewal("")
        return kept


def _window(told: certificate_pb2.RenewalWindow) -> tuple[int, int]:
    return told.start_time.ToMicroseconds(), told.end_time.ToMicroseconds()
