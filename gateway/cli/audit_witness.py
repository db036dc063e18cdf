"""`gateway audit witness|witness-add|witness-end`: a witness, run wherever its profile lies.

Its keys are made beside the profile and never leave it; an administrator registers their public
halves. It cosigns what continues what it cosigned before, and stops with an alarm at all else.
"""

import asyncio
from typing import Annotated

import typer

from gateway.cli.connected import PasswordFile, ProfileOption, connected, load, password_of
from gateway.cli.output import USAGE, CommandError, JsonOption, LangOption, Output
from gateway.cli.paging import new_id
from gateway.client.checkpoints import LogError
from gateway.client.client import Client
from gateway.client.profile import DEFAULT_NAME
from gateway.client.witness import Witness
from gateway.client.witnessing import Cosigned
from gateway.errors import UnavailableError
from gateway.v1 import audit_service_pb2 as v1

# Less than a checkpoint is offered for, and no entry waits a minute (policies/witnesses.toml).
EVERY_S = 15.0
Once = Annotated[bool, typer.Option("--once", help="witness.once")]
New = Annotated[bool, typer.Option("--new", help="witness.new")]
Every = Annotated[float, typer.Option("--every", help="witness.every", min=1.0, max=600.0)]
Organisation = Annotated[str, typer.Argument(metavar="ORGANISATION", help="organisation.code")]
Keys = Annotated[list[str], typer.Argument(metavar="VKEY", help="witness.vkey")]
KeyId = Annotated[str, typer.Argument(metavar="KEY_ID", help="witness.key-id")]
Reasoned = Annotated[str, typer.Option("--reason", help="witness.reason")]


def witness(
    once: Once = False,
    new: New = False,
    every: Every = EVERY_S,
    profile: ProfileOption = DEFAULT_NAME,
    password_file: PasswordFile = None,
    json: JsonOption = False,
    lang: LangOption = "",
) -> None:
    """Vouch for the log, again and again or once; with --new make the keys and show them."""
    output, found = Output.of(json, lang), load(profile)
    if json and not (once or new):
        raise typer.BadParameter("--once", param_hint="--json")
    try:
        own = Witness.create(found) if new else Witness.of(found)
    except LogError as error:
        raise CommandError(error.code, str(error), status=USAGE) from error
    if own is None:
        raise CommandError("WITNESS_MISSING", output.text("witness.missing"), status=USAGE)
    if new:
        keys = [str(one) for one in own.keys]
        lines = "\n".join(keys)
        output.result({"keys": keys}, f"{lines}\n\n{output.text('witness.made')}")
        return

    async def work(client: Client) -> Cosigned:
        while True:
            done = await _cosign(output, client, own, once=once)
            if once and done is not None:
                return done
            if done is not None:
                output.say("witness.cosigned", **_document(done))
            await asyncio.sleep(every)

    try:
        done = connected(output, found, work, password=password_of(output, found, password_file))
    except KeyboardInterrupt:
        return
    output.result(_document(done), output.text("witness.cosigned", **_document(done)))


async def _cosign(output: Output, client: Client, own: Witness, *, once: bool) -> Cosigned | None:
    """Return what was cosigned; None where the gateway is away, and it is asked again."""
    try:
        return await client.cosign(own)
    except UnavailableError as error:
        if once:
            raise
        output.say("witness.away", reason=error.reason)
        return None


def _document(done: Cosigned) -> dict[str, object]:
    return {"size": done.size, "confirmed_size": done.confirmed_size}


def witness_add(
    organisation: Organisation,
    vkeys: Keys,
    profile: ProfileOption = DEFAULT_NAME,
    json: JsonOption = False,
    lang: LangOption = "",
) -> None:
    """Register the public keys of an organisation's witness."""
    output, found = Output.of(json, lang), load(profile)

    async def work(client: Client) -> None:
        for vkey in vkeys:
            request = v1.RegisterWitnessRequest(
                request_id=new_id(), organisation_code=organisation, vkey=vkey
            )
            await client.call(client.audit.RegisterWitness, request)

    connected(output, found, work)
    told: dict[str, object] = {"organisation": organisation, "keys": vkeys}
    output.result(told, output.text("witness.added", code=organisation, count=len(vkeys)))


def witness_end(
    organisation: Organisation,
    key_id: KeyId,
    reason: Reasoned,
    profile: ProfileOption = DEFAULT_NAME,
    json: JsonOption = False,
    lang: LangOption = "",
) -> None:
    """Let a witness's key count no more."""
    output, found = Output.of(json, lang), load(profile)

    async def work(client: Client) -> None:
        request = v1.EndWitnessRequest(
            request_id=new_id(), organisation_code=organisation, key_id=key_id, reason=reason
        )
        await client.call(client.audit.EndWitness, request)

    connected(output, found, work)
    told: dict[str, object] = {"organisation": organisation, "key_id": key_id}
    output.result(told, output.text("witness.ended", code=organisation, key=key_id))
