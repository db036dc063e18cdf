"""Writes a static C2SP log from entries, as our exporter would; attackers here rebuild with it."""

import shutil
from collections.abc import Sequence
from pathlib import Path

from gateway.tlog import tiles
from gateway.tlog.checkpoint import Checkpoint
from gateway.tlog.cosignature import ED25519, Cosigner
from gateway.tlog.keys import Succession
from gateway.tlog.merkle import leaf_hash, root_of
from gateway.tlog.note import Signer
from gateway.tlog.policy import Policy, by_organisation

ORIGIN = "gateway.invalid/audit"
SIGNER = Signer(ORIGIN, bytes(range(32)))
# Who follows it, one after the other.
SECOND, THIRD = (Signer(ORIGIN, bytes([number]) * 32) for number in (2, 3))
NOW_US = 1_790_000_000_000_000


def leaf(index: int, **fields: object) -> bytes:
    """Return a canonical leaf of its own time."""
    import json

    document = {
        "decision": "allow",
        "kind": "upload",
        "time_us": NOW_US + index,
        "version": 1,
    } | fields
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()


def signed(entries: Sequence[bytes], *signers: Signer) -> str:
    """Return the checkpoint of these entries."""
    root = root_of([leaf_hash(each) for each in entries])
    return Checkpoint(ORIGIN, len(entries), root).signed(*signers or (SIGNER,))


def witness(number: int) -> Cosigner:
    """Return a witness of its own key and name."""
    return Cosigner(f"city{number}.invalid/witness", ED25519, bytes([40 + number]) * 32)


def cosigned(entries: Sequence[bytes], *numbers: int, time_s: int = NOW_US // 10**6) -> str:
    """Return the checkpoint of these entries with the cosignatures of these witnesses."""
    note = signed(entries)
    text = note.rpartition("\n\n")[0] + "\n"
    return note + "".join(witness(number).line(text, time_s) for number in numbers)


def quorum(threshold: int, *numbers: int) -> Policy:
    """Return the policy by which so many of these witnesses suffice; 0: none is asked for."""
    named = [(str(number), witness(number).key) for number in numbers]
    return by_organisation([SIGNER.verifier], named, threshold)


def succession(old: Signer, new: Signer, from_size: int) -> str:
    """Return the note by which one key follows another."""
    return Succession(old.verifier, new.verifier, from_size).signed(new, old)


def key_leaf(index: int, old: Signer, new: Signer, from_size: int) -> bytes:
    """Return the leaf that tells of it."""
    told = {"old_key": old.verifier.key_id.hex(), "new_key": new.verifier.key_id.hex()}
    return leaf(index, kind="log.key", detail={**told, "from_size": from_size, "digest": "0" * 64})


def note_keys(folder: Path, *notes: str) -> Path:
    """Put these notes into a folder, and no others."""
    shutil.rmtree(folder / "log-keys", ignore_errors=True)
    (folder / "log-keys").mkdir()
    for number, note in enumerate(notes, 1):
        (folder / "log-keys" / str(number)).write_text(note)
    return folder


def write(folder: Path, entries: Sequence[bytes], note: str | None = None) -> Path:
    """Write the folder of these entries; `note` instead of a checkpoint signed by the log's key."""
    shutil.rmtree(folder, ignore_errors=True)
    row = [leaf_hash(each) for each in entries]
    for tile in tiles.tiles_of(len(entries)):
        assert tile.level is not None
        if tile.level and tile.n == 0:
            row = [root_of(row[i : i + 256]) for i in range(0, len(row) - len(row) % 256, 256)]
        put(folder, tile, b"".join(row[tile.n * 256 : tile.n * 256 + tile.width]))
    for bundle in tiles.bundles_of(len(entries)):
        put(
            folder,
            bundle,
            tiles.pack_bundle(entries[bundle.n * 256 : bundle.n * 256 + bundle.width]),
        )
    folder.mkdir(exist_ok=True)
    (folder / "checkpoint").write_text(signed(entries) if note is None else note)
    (folder / "log.vkey").write_text(f"{SIGNER.verifier}\n")
    return folder


def put(folder: Path, tile: tiles.Tile, content: bytes) -> None:
    """Write one tile or bundle."""
    path = folder / tile.path
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
