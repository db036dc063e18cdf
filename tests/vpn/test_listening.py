"""By which device a listener can be reached, as the kernel says: bound ones by theirs, the others by any."""

import socket
import struct

import pytest

from gateway.vpn import listening


def test_the_kernel_tells_what_each_listener_is_bound_to():
    with (
        socket.create_server(("127.0.0.1", 0)) as anywhere,
        socket.socket() as bound,
        socket.socket() as silent,
    ):
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"lo\0")
        bound.bind(("127.0.0.1", 0))
        bound.listen()
        silent.bind(("127.0.0.1", 0))
        ports = [one.getsockname()[1] for one in (anywhere, bound, silent)]
        found = listening.devices(frozenset(ports))
        assert found == {ports[0]: {0}, ports[1]: {socket.if_nametoindex("lo")}}
        # Who is not asked for is not told.
        assert listening.devices(frozenset(ports[1:])).keys() == {ports[1]}
    assert listening.devices(frozenset(ports)) == {}


@pytest.mark.parametrize(
    "said",
    [struct.pack("=IHHIIi", 20, 2, 0, 1, 0, -1), struct.pack("=IHHII", 16, 20, 0, 1, 0)],
)
def test_a_kernel_that_refuses_or_says_too_little_tells_nothing(said, monkeypatch):
    class Kernel:
        def __enter__(self):
            return self

        def __exit__(self, *_):
            return None

        def settimeout(self, _):
            return None

        def sendto(self, *_):
            return 0

        def recv(self, _):
            return said

    monkeypatch.setattr(listening.socket, "socket", lambda *_: Kernel())
    with pytest.raises(OSError, match="does not tell"):
        listening.devices(frozenset({1}))
