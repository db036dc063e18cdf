"""A client process for the test that kills it: `python -m tests.client.uploader PROFILE FILE`."""

import asyncio
import sys
from pathlib import Path

from gateway.client import profile as profiles
from gateway.client.client import Client
from gateway.client.journal import FileJournal, Order
from gateway.client.secret import Secret
from gateway.client.upload import Upload
from gateway.v1 import upload_service_pb2 as up
from tests.client.small_gateway import PASSWORD


async def upload(folder: Path, file: Path) -> None:
    """Upload one file in batches of ten."""
    order = Order((file,), "1401050003", up.UploadBatchesRequest.LANE_BACKFILL, 10)
    async with Client(profiles.load(folder), password=lambda: Secret(PASSWORD)) as client:
        journal = FileJournal(client.profile, order)
        await Upload(client, journal.batches(), journal).run()
        journal.close()


if __name__ == "__main__":
    asyncio.run(upload(Path(sys.argv[1]), Path(sys.argv[2])))
