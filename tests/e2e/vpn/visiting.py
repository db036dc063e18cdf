"""One connection to the gateway and no second try, as no client of ours makes it: what one leaf is counted by."""

import sys

from gateway.demo.province import Member
from tests.e2e.vpn.machines import Machine

SERVED, CLOSED = "served", "closed"
_WAIT_S = 20
# Says bytes, or shakes hands with a certificate; then waits for what the gateway says or for the end.
_VISIT = f"""
import socket, ssl, sys
host, port, text, *identity = sys.argv[1:]
sock = socket.create_connection((host, int(port)), {_WAIT_S})
try:
    sock.sendall(bytes.fromhex(text))
    if identity:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.set_alpn_protocols(["h2"])
        context.load_cert_chain(*identity)
        sock = context.wrap_socket(sock)
    print("{SERVED}" if sock.recv(1) else "{CLOSED}")
except TimeoutError:
    raise
except (OSError, ssl.SSLError):
    print("{CLOSED}")
finally:
    sock.close()
"""


def say(machine: Machine, host: str, port: int, text: str) -> str:
    """Say these bytes (hex) in one connection, and return SERVED or CLOSED."""
    return visited(machine, host, port, text)


def shake(machine: Machine, host: str, port: int, member: Member) -> str:
    """Shake hands with a member's certificate in one connection, and return SERVED or CLOSED."""
    found = member.profile
    return visited(machine, host, port, "", found.certificate, found.key)


def visited(machine: Machine, *arguments: object, within: tuple[str, ...] = ()) -> str:
    """Visit on a machine, or within a namespace of its own that these words enter."""
    return machine.run(*within, sys.executable, "-c", _VISIT, *arguments).stdout.strip()
