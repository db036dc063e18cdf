"""The front as a process: started like the supervisor starts it, ready, drained by SIGTERM."""

import asyncio
import json
import os
import signal
import socket
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gateway.config.settings import OriginSettings, Settings, StaticTunnel
from gateway.config.strict import SettingsError
from gateway.front import listener
from gateway.front.listener import Front
from tests.front.stage import CITY, CITY_AT, HELLO, NOBODY_AT, OTHER, OTHER_AT, Stage, stage


def _write_settings(at: Stage) -> None:
    ports = at.settings.ports
    at.home.settings.write_text(
        f'dsn = {json.dumps(at.settings.dsn)}\n[front]\nlisten = ["{NOBODY_AT}"]\n'
        f"[ports]\nidentity = {ports.identity}\nintake = {ports.intake}\n"
        f"disclosure = {ports.disclosure}\nadministration = {ports.administration}\n"
        "[origin]\nallow_weak_origin = true\n"
        f'[[origin.static]]\norganisation = "{CITY.organisation}"\nlisten = "{CITY_AT}"\n'
        f'[[origin.static]]\norganisation = "{OTHER.organisation}"\nlisten = "{OTHER_AT}"\n'
    )


def test_the_process(cluster: Any, database_settings: Settings) -> None:
    async def run() -> None:
        async with stage(cluster, database_settings) as at:
            papers = at.good()
            await at.front.close(drain_s=0)
            _write_settings(at)
            reading, writing = os.pipe()
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-c",
                "import pathlib, sys; from gateway import log; from gateway.config.home import Home;"
                " from gateway.front.listener import main; log.configure('front', sys.stderr);"
                " main(Home(pathlib.Path(sys.argv[1])))",
                str(at.home.root),
                pass_fds=(writing,),
                env={**os.environ, "GATEWAY_READY_FD": str(writing)},
                stderr=asyncio.subprocess.PIPE,
            )
            os.close(writing)
            async with asyncio.timeout(60):
                assert await asyncio.to_thread(os.read, reading, 1) == b"1"
            os.close(reading)
            loaded = await at.leaf(1)
            assert (loaded["kind"], loaded["door"]) == ("policies.load", "front")
            assert set(loaded["detail"]) == {"policies_sha256", "settings_sha256"}
            reader, writer = await at.connect(papers)
            writer.write(HELLO)
            assert await reader.readexactly(5) == HELLO
            assert not await at.served(None)
            assert (await at.leaf(2))["reason"] == "CERT_MISSING"
            process.send_signal(signal.SIGTERM)
            await asyncio.sleep(0.2)
            writer.write(HELLO)
            assert await reader.readexactly(5) == HELLO
            writer.close()
            async with asyncio.timeout(20):
                _, said = await process.communicate()
            assert process.returncode == 0, said
            assert b'"serving"' in said
            assert b'"weak origin"' in said
            assert b"PRIVATE KEY" not in said

    asyncio.run(run())


def test_a_silent_connections_end_is_asked_whether_it_is_there(
    cluster: Any, database_settings: Settings
) -> None:
    async def run() -> None:
        async with stage(cluster, database_settings) as at:
            _, writer = await at.connect(at.good())
            try:
                address, port = writer.get_extra_info("sockname")[:2]
                far = f"{socket.inet_aton(address)[::-1].hex().upper()}:{port:04X}"
                async with asyncio.timeout(60):
                    while (due := _keepalive_due_s(far)) is None:  # noqa: ASYNC110  no event tells
                        await asyncio.sleep(0.01)
                assert due <= listener.KEEPALIVE_S < at.policies.tunnels.handshake_s / 2
            finally:
                writer.close()

    asyncio.run(run())


def _keepalive_due_s(far: str) -> float | None:
    """In how many seconds the kernel will ask this far end; None while it waits for something else."""
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        _, _, remote, _, _, timer, *_ = line.split()
        # proc(5): 2 is a timer that is no retransmission's; clock ticks follow.
        if remote == far and timer.startswith("02:"):
            return int(timer[3:], 16) / os.sysconf("SC_CLK_TCK")
    return None


@pytest.mark.parametrize("listen", [("127.0.0.1",), ("127.0.0.1", "127.0.0.11")])
def test_it_listens_where_the_settings_and_the_tunnels_say(listen: tuple[str, ...]) -> None:
    settings = Settings()
    tunnels = (
        StaticTunnel("140100", listen="127.0.0.11"),
        StaticTunnel("140200", source="10.0.0.0/8"),
    )
    settings = replace(
        settings,
        front=replace(settings.front, listen=listen),
        origin=OriginSettings("static", True, tunnels),
    )
    assert listener.addresses(settings) == ["127.0.0.1", "127.0.0.11"]


def test_a_watch_that_fails_ends_the_process(cluster: Any, database_settings: Settings) -> None:
    """Unwatched nobody stays connected: the supervisor starts the front anew."""

    async def run() -> None:
        async with stage(cluster, database_settings) as at:

            async def broken() -> None:
                raise RuntimeError("broken")

            at.front._watches.append(asyncio.create_task(broken()))
            async with asyncio.timeout(5):
                with pytest.raises(RuntimeError):
                    await at.front.watched(asyncio.Event())
            at.front._watches.pop()
            stop = asyncio.Event()
            stop.set()
            await at.front.watched(stop)

    asyncio.run(run())


def test_it_does_not_start_on_a_device_that_is_no_tunnel(
    cluster: Any, database_settings: Settings
) -> None:
    """Neither on one that is there, nor on one that is not; allowed to be weak it says so."""

    async def run() -> None:
        async with stage(cluster, database_settings) as at:

            def front(device: str, *, allow: bool) -> Front:
                origin = OriginSettings("wireguard", allow, device=device)
                settings = replace(at.settings, origin=origin)
                return Front(at.home, settings, at.policies, at.database, at.recorder, at.clock)

            with pytest.raises(SettingsError, match="lo is no tunnel device"):
                front("lo", allow=False)
            for allow in (True, False):
                with pytest.raises(SettingsError, match="no device nosuch0"):
                    front("nosuch0", allow=allow)
            assert front("lo", allow=True)._admission.tunnels.strength == "weak"

    asyncio.run(run())
