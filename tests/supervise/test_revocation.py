import asyncio

import pytest
from cryptography import x509

from gateway.config import settings
from gateway.config.home import Home
from gateway.store.database import StoreAwayError
from gateway.store.embedded import Cluster
from gateway.supervise import revocation
from gateway.supervise.revocation import keep_current


def number(home: Home) -> int:
    listed = x509.load_pem_x509_crl(home.crl.read_bytes())
    return listed.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number


def test_the_list_is_renewed_before_anybody_is_let_in(founded: Home) -> None:
    own = settings.load(founded.settings)
    cluster = Cluster(founded)
    before = number(founded)

    async def run() -> None:
        current = asyncio.Event()
        task = asyncio.create_task(keep_current(founded, own, current))
        async with asyncio.timeout(20):
            await current.wait()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    cluster.start(mortal=True)
    try:
        asyncio.run(run())
    finally:
        cluster.stop()
    assert number(founded) == before + 1


def test_without_a_database_it_says_so(founded: Home) -> None:
    own = settings.load(founded.settings)
    with pytest.raises(StoreAwayError):
        asyncio.run(keep_current(founded, own, asyncio.Event()))


def test_a_disk_that_is_full_is_tried_again(founded: Home, monkeypatch) -> None:
    monkeypatch.setattr(revocation, "_RETRY_S", 0.0)
    own = settings.load(founded.settings)
    looks: list[int] = []

    async def full(self: revocation.Keeper) -> None:
        looks.append(1)
        if len(looks) == 3:
            raise asyncio.CancelledError
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(revocation.Keeper, "run", full)
    cluster = Cluster(founded)
    cluster.start(mortal=True)
    try:
        with pytest.raises(asyncio.CancelledError):
            asyncio.run(keep_current(founded, own, asyncio.Event()))
    finally:
        cluster.stop()
    assert len(looks) == 3
