"""Uploading: batches over a stream, eight unanswered at most, each receipt verified first.

1. A batch that was sent and not answered is sent again with the same bytes, and so the same id,
   on the next stream: the gateway answers with the receipt that it stored, or takes it now.
2. UNAVAILABLE, DEADLINE_EXCEEDED, CANCELLED and INTERNAL mean "unknown": wait, open again, go on.
3. A refusal that is about one batch is noted with it and the others go on; any other stops.
4. A stream ends before its token does, and where the certificate is to be exchanged; a session that
   ended is renewed.
5. A receipt that proves nothing stops the upload at once.
6. Whether the log was restored is asked before the first batch. What was lost is sent again where
   an upload is opened (`sending`).
"""

import asyncio
import secrets
from collections import deque
from collections.abc import Iterator
from typing import Protocol

from google.protobuf.message import DecodeError
from grpc import aio

from gateway.client.channel import bearer
from gateway.client.checkpoints import LogError
from gateway.client.client import Client
from gateway.client.ending import Call, Ending
from gateway.client.refusals import outcome_unknown
from gateway.client.session import SESSION_OVER, Token
from gateway.client.verify import Evidence, ReceiptError, Sent, verify
from gateway.clock import US_PER_S
from gateway.errors import Reason, Refusal, refuse
from gateway.v1 import upload_service_pb2 as v1

METHOD = "/gateway.v1.UploadService/UploadBatches"
WINDOW = 8
# Without any answer for so long the upload gives up; long enough for a gateway to be restarted.
PATIENCE_S = 300.0
# INTERNAL again and again is no outage but a fault that this batch meets each time.
INTERNAL_PATIENCE_S = 60.0
# A full batch is answered within a second; a gateway that takes longer is asked again.
ANSWER_TIMEOUT_S = 60.0
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.1, 5.0
# A stream takes no more batches when its token has less life left, or less than a quarter of it.
_TOKEN_SPARE_US = 90 * US_PER_S
_TOKEN_SPARE_SHARE = 4
_OF_THE_BATCH = frozenset(
    {
        Reason.BATCH_MALFORMED,
        Reason.FIELD_INVALID,
        Reason.MESSAGE_MALFORMED,
        Reason.MESSAGE_TOO_LARGE,
        Reason.REQUEST_ID_REUSED,
    }
)
_LATER = frozenset({Reason.RATE_LIMITED, Reason.CONNECTIONS_EXHAUSTED})

Method = aio.StreamStreamMultiCallable[bytes, bytes]


class Journal(Protocol):
    """Who keeps what became of each batch; both are called in the order of the batches."""

    def answered(self, sent: Sent, receipt: v1.BatchReceipt, evidence: Evidence, /) -> None:
        """Keep a verified receipt."""

    def refused(self, sent: Sent, refusal: Refusal) -> None:
        """Keep that nothing of this batch was taken, and why."""


class Upload:
    """One upload: batches from an iterator, answers to a journal."""

    def __init__(
        self,
        client: Client,
        batches: Iterator[Sent],
        journal: Journal,
        *,
        window: int = WINDOW,
        patience_s: float = PATIENCE_S,
    ) -> None:
        """Prepare; the next batch is taken from the iterator when there is room for it."""
        self._client, self._batches, self._journal = client, batches, journal
        self._organisation = client.profile.remote.organisation
        self._window, self._patience_s = window, patience_s
        self._unanswered: deque[Sent] = deque()
        self._exhausted = False
        self._pause_s = _FIRST_PAUSE_S
        self._progress_at = client.clock.monotonic()
        self._renewed = False
        # The step of the expiry ladder that our certificate has reached, as the last answer said.
        self.certificate_warning_days = 0

    async def run(self) -> None:
        """Send every batch and keep every answer; raises Refusal or LogError when it cannot."""
        while not self._exhausted or self._unanswered:
            token: Token | None = None
            try:
                self._client.look()
                async with self._client.channels.in_use():
                    token = await self._client.session.token()
                    await self._look_back()
                    await self._client.learn_keys()
                    await self._stream(token)
            except Refusal as refusal:
                await self._go_on(refusal, token)

    async def _look_back(self) -> None:
        if not self._client.looked_back:
            try:
                await self._client.look_back()
            except Refusal as refusal:
                if not outcome_unknown(refusal):
                    raise  # that door is away: it is asked again, the upload goes on

    async def settle(self) -> None:
        """Prove that all receipts are of one log, with the patience of the upload."""
        self._progressed()
        while True:
            try:
                return await self._client.settle()
            except Refusal as refusal:
                await self._go_on(refusal, None)

    async def _stream(self, token: Token) -> None:
        """Send over one stream until it ends; raises the refusal that ended it."""
        method: Method = self._client.channels.to("intake").stream_stream(METHOD)
        call = method(metadata=bearer(token.secret))
        ending = Ending(call)
        room = asyncio.Semaphore(self._window)
        writer = asyncio.create_task(self._write(call, room, token))
        try:
            await self._read(call, room)
            refusal = await ending.refusal()
            self._client.channels.note(await ending.trailers())
            if refusal is not None:
                raise refusal
        finally:
            call.cancel()
            writer.cancel()
            await asyncio.wait([writer])
            # The source's own error: what was sent is sent again next time, no more comes.
            if not writer.cancelled() and (failed := writer.exception()) is not None:
                raise failed

    async def _write(self, call: Call, room: asyncio.Semaphore, token: Token) -> None:
        """Send what was unanswered before, then new batches, while there is room."""
        batches = self._next(list(self._unanswered))
        life_us = token.expire_us - token.issued_us
        until_us = token.expire_us - min(_TOKEN_SPARE_US, life_us // _TOKEN_SPARE_SHARE)
        try:
            # Room first: what is taken from the source before there is any would only wait.
            while True:
                await room.acquire()
                sent = next(batches, None)
                if sent is None:
                    break
                await call.write(sent.message)
                if self._client.clock.now_us() >= until_us or self._client.channels.closing:
                    break
        except (aio.AioRpcError, asyncio.InvalidStateError):
            return  # the stream is over, and who reads learns why
        finally:
            await call.done_writing()

    def _next(self, resend: list[Sent]) -> Iterator[Sent]:
        yield from resend
        for sent in self._batches:
            self._unanswered.append(sent)
            yield sent
        self._exhausted = True

    async def _read(self, call: Call, room: asyncio.Semaphore) -> None:
        """Take answers until the stream ends."""
        while True:
            try:
                async with asyncio.timeout(ANSWER_TIMEOUT_S):
                    answer = await call.read()
            except TimeoutError:
                raise refuse(Reason.FRONT_AWAY) from None
            except aio.AioRpcError:
                return  # the call tells its status
            if not isinstance(answer, bytes):
                return
            try:
                self._take(answer)
            except LogError as error:
                await self._client.learn_keys(error)
                self._take(answer)
            room.release()
            await self._client.settle_when_due()

    def _take(self, answer: bytes) -> None:
        if not self._unanswered:
            raise ReceiptError("RECEIPT_SURPLUS", "an answer came to no batch")
        try:
            response = v1.UploadBatchesResponse.FromString(answer)
        except DecodeError:
            raise ReceiptError("RECEIPT_FORM", "the answer is not one of the contract") from None
        receipt, sent = response.receipt, self._unanswered[0]
        self.certificate_warning_days = response.certificate_warning_days
        evidence = verify(receipt, sent, self._organisation, self._client.checkpoints)
        self._journal.answered(sent, receipt, evidence)
        self._unanswered.popleft()
        self._progressed()

    async def _go_on(self, refusal: Refusal, token: Token | None) -> None:
        """Do what a refusal asks for, or raise it."""
        if refusal.reason in _OF_THE_BATCH and self._unanswered:
            self._journal.refused(self._unanswered.popleft(), refusal)
            self._progressed()
        elif refusal.reason in SESSION_OVER and token is not None and not self._renewed:
            self._renewed = True
            await self._client.session.renew(token)
        elif await self._client.rotation.mend(refusal):
            self._progressed()
        elif outcome_unknown(refusal) or refusal.reason in _LATER:
            await self._pause(refusal)
        else:
            raise refusal

    async def _pause(self, refusal: Refusal) -> None:
        """Wait, longer each time, with jitter, so that a whole province does not knock at once."""
        waited_s = self._client.clock.monotonic() - self._progress_at
        internal = refusal.reason is Reason.INTERNAL
        if waited_s > (
            min(self._patience_s, INTERNAL_PATIENCE_S) if internal else self._patience_s
        ):
            raise refusal
        jitter = secrets.randbelow(1000) / 1000
        await asyncio.sleep((refusal.retry_after_s or 0.0) + self._pause_s * jitter)
        self._pause_s = min(self._pause_s * 2, _LONGEST_PAUSE_S)

    def _progressed(self) -> None:
        self._progress_at = self._client.clock.monotonic()
        self._pause_s = _FIRST_PAUSE_S
        self._renewed = False
