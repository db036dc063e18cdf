"""`gateway audit mirror`: keeps a copy of the log, where nobody has a shell on its host."""

from pathlib import Path
from typing import Annotated

import typer

from gateway.audit.archive import KEY_FILE
from gateway.audit.witnessing import COSIGNED_FOLDER, MINIMUM_FILE, POLICY_FILE
from gateway.cli.audit_folder import Bar
from gateway.cli.connected import PasswordFile, ProfileOption, connected, load, password_of
from gateway.cli.output import CommandError, JsonOption, LangOption, Output
from gateway.client.client import Client
from gateway.client.mirror import Mirror, Mirrored, MirrorError
from gateway.client.profile import DEFAULT_NAME
from gateway.config import log_keys
from gateway.tlog import checkpoint, note
from gateway.tlog.note import NoteError
from gateway.tlog.tiles import TileError
from gateway.v1 import audit_service_pb2 as v1

Folder = Annotated[Path, typer.Argument(metavar="DIR", help="mirror.folder")]


def mirror(
    folder: Folder,
    profile: ProfileOption = DEFAULT_NAME,
    password_file: PasswordFile = None,
    json: JsonOption = False,
    lang: LangOption = "",
) -> None:
    """Copy the log up to its newest checkpoint, proving it as it comes; again: only what is new."""
    output, found = Output.of(json, lang), load(profile)

    async def work(client: Client) -> Mirrored:
        with Bar(output, "mirror.fetching") as bar:
            return await _mirror(client, found.remote.log_key, folder, bar)

    try:
        done = connected(output, found, work, password=password_of(output, found, password_file))
    except (MirrorError, NoteError, TileError) as error:
        raise CommandError(error.code, output.text("mirror.unproven", why=error)) from error
    told: dict[str, object] = {
        "folder": str(folder),
        "size": done.size,
        "before": done.before,
        "fetched": done.fetched,
    }
    output.result(told, output.text("mirror.done", **told))


async def _mirror(client: Client, key: str, folder: Path, bar: Bar) -> Mirrored:
    """Fetch what witnesses said first: their checkpoint is then no larger than the newest."""
    witnessing = await client.ask_witness(0)
    answer = await client.call(client.audit.GetCheckpoint, v1.GetCheckpointRequest())

    async def fetch(path: str) -> bytes:
        request = v1.GetLogFileRequest(path=path)
        return (await client.call(client.audit.GetLogFile, request)).content

    files = {KEY_FILE: f"{key}\n", MINIMUM_FILE: "0\n"}
    files |= {f"{log_keys.FOLDER}/{number}": one for number, one in enumerate(answer.log_keys, 1)}
    files |= {POLICY_FILE: witnessing.policy} if witnessing.policy else {}
    if witnessing.confirmed:
        size = checkpoint.parse(note.split(witnessing.confirmed)[0]).size
        files[f"{COSIGNED_FOLDER}/{size}"] = witnessing.confirmed
    kept = Mirror(folder, client.checkpoints.keys)
    return await kept.update(answer.checkpoint, fetch, files, bar.update)
