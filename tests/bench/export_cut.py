"""`export.cut`: how long a download flows after one person revoked its ticket, on a served province.

A recipient reads a sealed file that fills every buffer on its way, without a pause. The clock starts when the officer,
logged in, calls RevokeExport, and stops at the last byte that came: the stream must end with TICKET_REVOKED, and the key
must be refused.
"""

import asyncio
import shutil
import tempfile
import time
import uuid
from pathlib import Path

from gateway.client.client import Client
from gateway.client.delivery import delivery
from gateway.demo import exporters, exports
from gateway.demo import province as provinces
from gateway.demo.host import Host
from gateway.demo.province import APART_S, NOBODY_OCTET, SECOND_WAY, Member, Province
from gateway.errors import Reason, Refusal
from gateway.exports import payloads
from gateway.v1 import export_service_pb2 as v1
from tests.bench.figures import Figure, figure

ROUNDS = 5
LIMIT_MS = 1_000.0
# So much that no reader is through before the revocation.
PAYLOAD_BYTES = 1024 * 1024 * 1024
BEFORE_BYTES = 8 * 1024 * 1024


def run() -> list[Figure]:
    """Measure."""
    folder = Path(tempfile.mkdtemp(prefix="gateway-bench-", dir="/tmp"))
    folder.chmod(0o711)
    host = Host.at(folder / "home")
    try:
        policies = provinces.policies(folder / "policies")
        rules = policies / "cedar" / "exports.toml"
        # A round is a ticket of its own: nobody waits ten minutes for his next count.
        rules.write_text(rules.read_text().replace("every_minutes = 10", "every_minutes = 1"))
        host.init([*provinces.owners(), SECOND_WAY], [NOBODY_OCTET], policies)
        host.start()
        return asyncio.run(_measured(host))
    finally:
        host.stop()
        shutil.rmtree(folder, ignore_errors=True)


async def _measured(host: Host) -> list[Figure]:
    there = await provinces.found(host)
    people = await exporters.enlist(there)
    found = [await _cut(there, people) for _ in range(ROUNDS)]
    told = (
        f"a reader without a pause, {PAYLOAD_BYTES >> 20} MiB, every round a ticket; value: from "
        f"the officer's call to the last byte, median; longest {max(found):,.0f} ms"
    )
    return [figure("export.cut", "ms", found, {"limit": [LIMIT_MS]}, found, told)]


async def _cut(there: Province, people: dict[str, Member]) -> float:
    """Have a ticket built, taken and revoked; return the milliseconds until nothing came any more."""
    await exports.as_owner(there, ("DELETE FROM gateway.export_count", ()))
    ticket = await exports.submitted(people, "lian")
    await exports.approve(people["zhao"], ticket)
    await asyncio.sleep(APART_S + 0.3)
    await exports.approve(people["qian"], ticket)
    await exports.built(people["wang"], ticket)
    place = payloads.path(there.host.home.exports, ticket)
    with place.open("r+b") as file:
        file.truncate(PAYLOAD_BYTES)
    wang, song = people["wang"], people["song"]
    revoke = v1.RevokeExportRequest(request_id=str(uuid.uuid4()), ticket_id=ticket, reason="bench")
    async with Client(wang.profile, password=lambda: wang.password) as client:
        taking = asyncio.create_task(_taken(client, ticket, begun := asyncio.Event()))
        await begun.wait()
        async with Client(song.profile, password=lambda: song.password) as officer:
            await officer.session.token()
            revoked_at = time.monotonic()
            await officer.call(officer.exports.RevokeExport, revoke)
        last_at, reason = await taking
        told, header = await exports.key(client, ticket)
    if reason is not Reason.TICKET_REVOKED or told != Reason.TICKET_REVOKED or header:
        raise AssertionError(f"not cut: {reason}, {told}")
    return max(0.0, (last_at - revoked_at) * 1000)


async def _taken(client: Client, ticket: str, begun: asyncio.Event) -> tuple[float, Reason | None]:
    """Read until the end; return when the last bytes came, and why no more."""
    last_at, count = time.monotonic(), 0
    try:
        async with delivery(client, ticket) as coming:
            while part := await coming.part():
                last_at, count = time.monotonic(), count + len(part.chunk)
                if count >= BEFORE_BYTES:
                    begun.set()
    except Refusal as refusal:
        return last_at, refusal.reason
    finally:
        begun.set()
    return last_at, None
