"""What a restored log does not have any more: receipts taken out, batches sent again as they were.

In the profile's folder, beside what `journal` keeps there:

- `sent/<id>/<n>.batch`: batches that were answered, for so many days: the gateway's newest backup
  may be older than they are
- `receipts/<id>.lost`: the receipts that proved what is gone, in the form of the others
- `receipts/<id>.presented`: which of these the gateway was shown (`losses`)
"""

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path

from gateway.client import delimited
from gateway.client.batches import sent_of
from gateway.client.files import make_private, opened_private, write_private
from gateway.client.journal import LOST, SENT, locked
from gateway.client.profile import Profile
from gateway.client.verify import Evidence, Sent
from gateway.errors import Refusal
from gateway.tlog import proof
from gateway.v1 import upload_service_pb2 as v1

PRESENTED = ".presented"


def checkpoints(profile: Profile) -> set[str]:
    """Return the signed checkpoints that our receipts stand on; raises DelimitedError."""
    files = sorted(profile.receipts.glob("*.receipts"))
    every = (each for file in files for each in delimited.recover(file))
    return {proof.parse(each.proof).checkpoint for each in every}


def take_back(profile: Profile, size: int) -> tuple[int, int]:
    """Take out the receipts of leaves past a size, and put their batches into the spool again.

    Returns how many will be sent again, and of how many the bytes are not here any more. Done twice
    it does the rest. Raises DelimitedError.
    """
    for told in profile.receipts.glob(f"*{PRESENTED}"):
        told.unlink()
    for file in sorted(profile.receipts.glob("*.receipts")):
        every = list(delimited.recover(file))
        gone = [each for each in every if proof.parse(each.proof).index >= size]
        if not gone:
            continue
        with opened_private(file.with_suffix(LOST)) as descriptor:
            os.write(descriptor, b"".join(map(delimited.frame, gone)))
            os.fsync(descriptor)
        _into_the_spool(profile, file.stem, {each.request_id for each in gone})
        kept = [each for each in every if proof.parse(each.proof).index < size]
        write_private(file, b"".join(map(delimited.frame, kept)))
    waiting = [Waiting(profile, each) for each in waiting_ids(profile)]
    return sum(len(each.files) for each in waiting), sum(len(each.missing) for each in waiting)


def waiting_ids(profile: Profile) -> list[str]:
    """Return the uploads of which something was lost and is not answered again yet."""
    lost = sorted(profile.receipts.glob(f"*{LOST}"))
    found = [Waiting(profile, each.stem) for each in lost]
    return [each.id for each in found if each.files or each.missing]


class Waiting:
    """What one upload has to send again: `files` of the spool; ids whose bytes are `missing`."""

    def __init__(self, profile: Profile, upload_id: str) -> None:
        """Look at what lies there; raises DelimitedError."""
        self.id, self._profile = upload_id, profile
        self.receipts = profile.receipts / f"{upload_id}.receipts"
        answered = {each.request_id for each in delimited.recover(self.receipts)}
        lost = {each.request_id for each in delimited.recover(self.receipts.with_suffix(LOST))}
        self.missing, self.files = lost - answered, dict[str, Path]()
        for path in sorted((profile.spool / upload_id).glob("*.batch")):
            sent = sent_of(path.read_bytes())
            if sent.request_id in self.missing:
                self.missing.discard(sent.request_id)
                self.files[sent.request_id] = path


class Resending:
    """The journal of batches that one upload sends again (`upload.Journal`)."""

    def __init__(self, profile: Profile, upload_id: str) -> None:
        """Take up what waits there."""
        self._profile, self._waiting = profile, Waiting(profile, upload_id)
        # What the upload was: `unit`, `files` and the rest.
        self.about = json.loads(self._waiting.receipts.with_suffix(".json").read_bytes())
        self.missing, self.count = len(self._waiting.missing), 0

    @contextlib.contextmanager
    def alone(self) -> Iterator[Iterator[Sent]]:
        """Give the batches, while nobody else uploads for the unit; raises BusyError."""
        descriptor = locked(self._profile.spool / f"{self.about['unit']}.lock")
        try:
            yield (sent_of(path.read_bytes()) for path in self._waiting.files.values())
        finally:
            os.close(descriptor)

    def answered(self, sent: Sent, receipt: v1.BatchReceipt, _evidence: Evidence, /) -> None:
        """Keep a verified receipt; only then the spooled bytes go."""
        with opened_private(self._waiting.receipts) as descriptor:
            os.write(descriptor, delimited.frame(receipt))
            os.fsync(descriptor)
        path = self._waiting.files[sent.request_id]
        path.replace(make_private(self._profile.folder / SENT / self._waiting.id) / path.name)
        self.count += 1

    def refused(self, sent: Sent, refusal: Refusal) -> None:
        """Leave the bytes where they are: the upload's own command tells of it."""


def _into_the_spool(profile: Profile, upload_id: str, ids: set[str]) -> None:
    for path in sorted((profile.folder / SENT / upload_id).glob("*.batch")):
        if sent_of(path.read_bytes()).request_id in ids:
            path.replace(make_private(profile.spool / upload_id) / path.name)
