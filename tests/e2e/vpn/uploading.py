"""A county's upload that is under way while something happens to its tunnel, and its whole result."""

import json
import secrets
import subprocess
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from gateway.client import delimited
from gateway.client.reading import items
from tests.e2e.vpn.deployed import Deployed
from tests.e2e.vpn.machines import until
from tests.e2e.vpn.province import COMMAND_S, COUNTY, GATEWAY_COMMAND

# What is another record in each sample; some stock balances are the same in all of them.
FILES = ("children", "vaccinations")
# Receipts of this many bytes are there before the tunnel falls.
_UNDER_WAY_BYTES = 20_000
_BATCH = 50


@dataclass(slots=True)
class Uploading:
    """An upload that was started; `records` is how many its files hold."""

    process: subprocess.Popen[bytes]
    out: Path
    records: int
    begun_at: float = field(default_factory=time.monotonic)


def sample(folder: Path, children: int) -> list[Path]:
    """Generate records of the county that nobody has uploaded yet."""
    made = folder / "sample"
    seed = secrets.randbelow(2**31)
    words = ["sample", "--seed", seed, "--children", children, "--county", COUNTY, "--out", made]
    subprocess.run(
        [*GATEWAY_COMMAND, *map(str, words)], check=True, capture_output=True, timeout=COMMAND_S
    )
    return [made / f"{name}.jsonl" for name in FILES]


@contextmanager
def uploading(scene: Deployed, files: Sequence[Path], batch: int = _BATCH) -> Iterator[Uploading]:
    """Start an upload at the county; the block begins when part of it has its receipts."""
    receipts = scene.member(COUNTY).profile.receipts
    before = _bytes(receipts)
    words = ["upload", *files, "--unit", scene.unit(COUNTY), "--batch", batch]
    out = files[0].with_name("upload.out")
    command = scene.province.words(scene.member(COUNTY), *words)
    # Standard output alone is JSON.
    shell = ["sh", "-c", 'exec "$@" 2>/dev/null', "sh", *command]
    records = sum(1 for file in files for _ in items(file))
    process = scene.county.machine.start(*shell, out=out)
    upload = Uploading(process, out, records)
    try:
        until(
            lambda: _bytes(receipts) - before > _UNDER_WAY_BYTES or process.poll() is not None,
            "an upload under way",
        )
        yield upload
    finally:
        if process.poll() is None:
            scene.county.machine.end(process)


def uploaded_once(scene: Deployed, upload: Uploading) -> float:
    """Wait for the end; each record was taken once; returns how long it all took, in seconds."""
    status = upload.process.wait(COMMAND_S)
    took = time.monotonic() - upload.begun_at
    said = json.loads(upload.out.read_text())
    assert status == 0, said
    assert said["records"] == sum(said["states"].values()) == upload.records
    assert said["states"]["duplicate"] == 0
    receipts = list(delimited.read(Path(said["receipts"])))
    assert sum(len(receipt.items) for receipt in receipts) == upload.records
    numbers = Counter(receipt.sequence for receipt in receipts)
    assert set(numbers.values()) == {1}
    return took


def _bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.glob("*.receipts"))
