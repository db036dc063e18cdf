"""`gateway audit mirror`: keeps a copy of the log, where nobody has a shell on its host."""

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from gateway.audit.archive import KEY_FILE
from gateway.audit.witnessing import COSIGNED_FOLDER, MINIMUM_FILE, POLICY_FILE
from gateway.cli.audit_folder import Bar
from gateway.cli.connected import PasswordFile, ProfileOption, connected, load, password_of
from gateway.cli.output import (
    REFUSED,
    UNAVAILABLE,
    USAGE,
    CommandError,
    JsonOption,
    LangOption,
    Output,
)
from gateway.client.client import Client
from gateway.client.mirror import GoneError, Mirror, Mirrored, MirrorError
from gateway.client.profile import DEFAULT_NAME
from gateway.config import log_keys
from gateway.errors import Reason, Refusal
from gateway.tlog import checkpoint, note
from gateway.tlog.note import NoteError
from gateway.tlog.tiles import TileError
from gateway.v1 import audit_service_pb2 as v1

Folder = Annotated[Path, typer.Argument(metavar="DIR", help="mirror.folder")]
# Checkpoints that are asked for while parts are destroyed from one to the next.
_ROUNDS = 8
# What is wrong with the folder, not with the log.
_OF_THE_FOLDER = ("FOLDER_EXISTS", "FOLDER_DAMAGED")


def mirror(
    folder: Folder,
    profile: ProfileOption = DEFAULT_NAME,
    password_file: PasswordFile = None,
    json: JsonOption = False,
    lang: LangOption = "",
) -> None:
    """Copy the log up to its newest checkpoint, proving it as it comes; again: only what is new."""
    output, found = Output.of(json, lang), load(profile)
    policy_before = _policy(folder)

    async def work(client: Client) -> Mirrored:
        with Bar(output, "mirror.fetching") as bar:
            return await _mirror(client, found.remote.log_key, folder, bar)

    try:
        done = connected(output, found, work, password=password_of(output, found, password_file))
    except GoneError as error:
        text = output.text("mirror.gone", count=len(error.digests))
        raise CommandError("PARTS_GONE", text, status=UNAVAILABLE) from error
    except (MirrorError, NoteError, TileError) as error:
        raise _refused(output, folder, error.code) from error
    told: dict[str, object] = {
        "folder": str(folder),
        "size": done.size,
        "before": done.before,
        "fetched": done.fetched,
        "parts": done.parts,
        "missing": done.missing,
        "policy_changed": policy_before not in (b"", _policy(folder)),
    }
    human = [output.text("mirror.done", **told)]
    human += [output.text("mirror.policy-changed")] if told["policy_changed"] else []
    human += [output.text("mirror.incomplete", count=done.missing)] if done.missing else []
    output.result(told, "\n".join(human))
    if done.missing:
        raise typer.Exit(REFUSED)


def _policy(folder: Path) -> bytes:
    """Return the witness policy that the folder has, empty without one."""
    path = folder / POLICY_FILE
    return path.read_bytes() if path.is_file() else b""


def _refused(output: Output, folder: Path, code: str) -> CommandError:
    """Return why the copy is not made: for what the folder is, the gateway answers not."""
    why = output.text(f"audit.code.{code}")
    if code in _OF_THE_FOLDER:
        text = output.text("mirror.folder-wrong", folder=folder, why=why)
        return CommandError(code, text, status=USAGE)
    return CommandError(code, output.text("mirror.unproven", why=why))


async def _mirror(client: Client, key: str, folder: Path, bar: Bar) -> Mirrored:
    """Copy up to the newest checkpoint; up to a newer one where a part was destroyed meanwhile."""
    kept, gone = Mirror(folder, client.checkpoints.keys), frozenset[str]()
    for _ in range(_ROUNDS - 1):
        signed, files = await _newest(client, key)
        kept.keys = client.checkpoints.keys
        try:
            return await kept.update(signed, partial(_fetch, client), files, bar.update, gone=gone)
        except GoneError as error:
            gone |= error.digests
    signed, files = await _newest(client, key)
    return await kept.update(signed, partial(_fetch, client), files, bar.update, gone=gone)


async def _fetch(client: Client, path: str) -> bytes | None:
    try:
        request = v1.GetLogFileRequest(path=path)
        return (await client.call(client.audit.GetLogFile, request)).content
    except Refusal as refusal:
        if refusal.reason is not Reason.NOT_FOUND:
            raise
    return None


async def _newest(client: Client, key: str) -> tuple[str, dict[str, str]]:
    """Return the newest checkpoint, and what stands beside it.

    What witnesses said is fetched first: their checkpoint is then no larger than the newest.
    """
    witnessing = await client.ask_witness(0)
    answer = await client.call(client.audit.GetCheckpoint, v1.GetCheckpointRequest())
    files = {KEY_FILE: f"{key}\n", MINIMUM_FILE: "0\n"}
    files |= {f"{log_keys.FOLDER}/{number}": one for number, one in enumerate(answer.log_keys, 1)}
    files |= {POLICY_FILE: witnessing.policy} if witnessing.policy else {}
    if witnessing.confirmed:
        size = checkpoint.parse(note.split(witnessing.confirmed)[0]).size
        files[f"{COSIGNED_FOLDER}/{size}"] = witnessing.confirmed
    return answer.checkpoint, files
