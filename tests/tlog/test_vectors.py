"""docs/vectors: made again they are the same, and each proves, or is refused, as it says."""

import hashlib
import importlib.util
import json
from pathlib import Path
from types import ModuleType

import pytest

from gateway.tlog import cosignature, proof
from gateway.tlog.keys import LogKeys
from gateway.tlog.merkle import MerkleError
from gateway.tlog.note import NoteError, parse_skey, parse_vkey, split
from gateway.tlog.proof import ProofFormError

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "docs" / "vectors"
VECTORS = json.loads((FOLDER / "vectors.json").read_text(encoding="utf-8"))
KEYS = LogKeys.of(parse_vkey(VECTORS["log"]["vkey"]))
WITNESSES = [cosignature.parse_vkey(one["vkey"]) for one in VECTORS["witnesses"].values()]


def tool() -> ModuleType:
    spec = importlib.util.spec_from_file_location("vectors", ROOT / "tools" / "vectors.py")
    assert spec is not None
    assert spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    return made


def code(text: str, entry: str) -> str:
    """What a verifier says of a receipt: "" for nothing, or its refusal."""
    try:
        read = proof.parse(text)
        read.verify(entry.encode(), KEYS)
    except (ProofFormError, MerkleError, NoteError) as error:
        return error.code
    try:
        cosignature.verified(read.checkpoint, WITNESSES)
    except NoteError:
        return "COSIGNATURE_INVALID"
    return ""


def test_made_again_they_are_the_same() -> None:
    made = tool().files()
    assert {one.name for one in FOLDER.iterdir()} == {*made, "about.md"}
    for name, content in made.items():
        assert (FOLDER / name).read_text(encoding="utf-8") == content, "python tools/vectors.py"


@pytest.mark.parametrize("one", VECTORS["receipts"], ids=lambda one: one["file"])
def test_each_receipt_proves(one: dict) -> None:
    text = (FOLDER / one["file"]).read_text(encoding="utf-8")
    assert code(text, one["entry"]) == ""
    read = proof.parse(text)
    assert read.index == one["index"]
    assert read.text() == text
    lines = 1 + len(cosignature.verified(read.checkpoint, WITNESSES))
    assert lines == one["signatures"]["all"] == len(split(read.checkpoint)[1])


@pytest.mark.parametrize("one", VECTORS["refused"], ids=lambda one: one["what"])
def test_each_spoilt_receipt_is_refused(one: dict) -> None:
    assert code(one["proof"], one["entry"]) == one["code"]


def test_the_cosignatures_are_of_the_checkpoint() -> None:
    said = VECTORS["cosignatures"]
    note = said["checkpoint"] + "".join(said["lines"].values())
    found = cosignature.verified(note, WITNESSES)
    assert [one.key for one in found] == WITNESSES
    assert {one.time_s for one in found} == {said["time_s"]}


def test_the_seeds_make_the_keys() -> None:
    made = tool()
    for kind, one in VECTORS["witnesses"].items():
        assert str(made.WITNESSES[kind].key) == one["vkey"]
        skey = made.WITNESSES[kind].secret_line()
        assert str(cosignature.parse_skey(skey).key) == one["vkey"]
        assert made.SEEDS[kind].hex() == one["seed"]
    assert str(parse_skey(made.LOG.secret_line()).verifier) == VECTORS["log"]["vkey"]


def test_the_upload_commits_to_its_message() -> None:
    said = VECTORS["commitment"]
    upload = next(one for one in VECTORS["receipts"] if one["file"] == "upload.tlog-proof")
    salt = proof.parse((FOLDER / upload["file"]).read_text(encoding="utf-8")).extra
    assert salt is not None
    assert salt.hex() == said["salt"]
    commitment = hashlib.sha256(salt + bytes.fromhex(said["message"])).hexdigest()
    assert json.loads(upload["entry"])["commitment"] == commitment == said["sha256"]
