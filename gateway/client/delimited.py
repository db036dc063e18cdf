"""Receipts in one file, each after its length as a varint: protobuf's delimited form."""

import io
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from google.protobuf.message import DecodeError

from gateway.v1.upload_service_pb2 import BatchReceipt

_VARINT_MORE, _VARINT_BITS = 0x80, 7
_VARINT_MAX_BYTES = 5
# A receipt of a full batch with many findings on each item has some hundred kilobytes.
_RECEIPT_MAX_BYTES = 64 * 1024 * 1024


class DelimitedError(Exception):
    """The file is not a row of receipts; the text names the file and the place."""


def frame(receipt: BatchReceipt) -> bytes:
    """Return a receipt with its length before it."""
    content = receipt.SerializeToString()
    length = len(content)
    prefix = bytearray()
    while length >= _VARINT_MORE:
        prefix.append(length % _VARINT_MORE | _VARINT_MORE)
        length >>= _VARINT_BITS
    return bytes(prefix) + bytes([length]) + content


def read(file: Path) -> Iterator[BatchReceipt]:
    """Yield the receipts of a file; raises DelimitedError unless it holds only whole ones."""
    with file.open("rb") as stream:
        while True:
            place = stream.tell()
            receipt = _next(stream)
            if receipt is not None:
                yield receipt
                continue
            if stream.seek(0, io.SEEK_END) == place:
                return
            raise DelimitedError(f"{file}: at byte {place} stands no whole receipt")


def recover(file: Path) -> Iterator[BatchReceipt]:
    """Yield the receipts of our own file; what a crash left of a last one is cut off."""
    if not file.exists():
        return
    with file.open("r+b") as stream:
        while True:
            place = stream.tell()
            receipt = _next(stream)
            if receipt is None:
                stream.truncate(place)
                os.fsync(stream.fileno())
                return
            yield receipt


def _next(stream: BinaryIO) -> BatchReceipt | None:
    """Return the receipt at the stream's place, or None where none is whole."""
    length = _varint(stream)
    if length is None or length > _RECEIPT_MAX_BYTES:
        return None
    content = stream.read(length)
    if len(content) != length:
        return None
    try:
        return BatchReceipt.FromString(content)
    except DecodeError:
        return None


def _varint(stream: BinaryIO) -> int | None:
    value = 0
    for place in range(_VARINT_MAX_BYTES):
        byte = stream.read(1)
        if not byte:
            return None
        value |= (byte[0] & ~_VARINT_MORE) << (_VARINT_BITS * place)
        if byte[0] < _VARINT_MORE:
            return value
    return None
