"""A door's channel as the stubs see it: each call goes over the channel that is open by then.

grpc cannot exchange the certificate of a channel (grpc issues 15735, 41779); the channel is
replaced, and a stub that was made before must not keep the closed one.
"""

from collections.abc import Callable

from grpc import aio


class Line:
    """What stubs and streams need of an aio.Channel."""

    def __init__(self, present: Callable[[], aio.Channel]) -> None:
        """Ask `present` for the channel at each call."""
        self._present = present

    def unary_unary(self, *how: object, **more: object) -> Callable[..., object]:
        """Return what makes unary calls of a method."""
        return self._late("unary_unary", how, more)

    def unary_stream(self, *how: object, **more: object) -> Callable[..., object]:
        """Return what opens streams of answers to one request of a method."""
        return self._late("unary_stream", how, more)

    def stream_stream(self, *how: object, **more: object) -> Callable[..., object]:
        """Return what opens streams of a method."""
        return self._late("stream_stream", how, more)

    def _late(
        self, kind: str, how: tuple[object, ...], more: dict[str, object]
    ) -> Callable[..., object]:
        def call(*told: object, **options: object) -> object:
            method = getattr(self._present(), kind)(*how, **more)
            return method(*told, **options)

        return call
