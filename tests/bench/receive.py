"""The limit `grpc.receive`: a bare grpcio mTLS server that only receives and parses the same messages.

Run as a process of its own: `python -m tests.bench.receive FOLDER ADDRESS`; FOLDER holds root.pem, server.pem, server.key.
"""

import asyncio
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import grpc

from gateway.v1 import upload_service_pb2 as up

METHOD = "/bench.Receive/Stream"
OPTIONS = (("grpc.max_receive_message_length", 16 << 20),)


async def _receive(messages: AsyncIterator[bytes], _context: object) -> AsyncIterator[bytes]:
    async for message in messages:
        yield len(up.UploadBatchesRequest.FromString(message).items).to_bytes(4, "big")


class _Receiver(grpc.GenericRpcHandler):
    def service(
        self, handler_call_details: grpc.HandlerCallDetails
    ) -> grpc.RpcMethodHandler | None:
        return grpc.stream_stream_rpc_method_handler(_receive)


async def serve(folder: Path, address: str) -> None:
    """Serve until ended, after printing `ready`."""
    server = grpc.aio.server(options=OPTIONS)
    server.add_generic_rpc_handlers((_Receiver(),))
    credentials = grpc.ssl_server_credentials(
        [((folder / "server.key").read_bytes(), (folder / "server.pem").read_bytes())],
        root_certificates=(folder / "root.pem").read_bytes(),
        require_client_auth=True,
    )
    server.add_secure_port(address, credentials)
    await server.start()
    print("ready", flush=True)
    await server.wait_for_termination()


if __name__ == "__main__":
    asyncio.run(serve(Path(sys.argv[1]), sys.argv[2]))
