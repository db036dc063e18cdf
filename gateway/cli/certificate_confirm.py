"""`gateway certificate confirm HOME INVITATION FINGERPRINT`: the second officer where none is.

For a province that is being founded, or that lost all officers but one: root on the gateway's own
host stands in. Each use is its own leaf with an alert; afterwards officers confirm one another.
"""

import re
from pathlib import Path
from typing import Annotated

import typer

from gateway.audit.event import Event
from gateway.cli import host
from gateway.cli.invitation import Fingerprint, Id, digits
from gateway.cli.output import JsonOption, LangOption, Output
from gateway.clock import SYSTEM
from gateway.pki import confirmation
from gateway.pki.confirmation import HOST, Confirmation
from gateway.pki.proof import Proofs
from gateway.store.database import Transaction

KIND = "admin.certificate.confirm"
ALERT = "confirmed-on-host"
_SHA256 = re.compile(r"[0-9a-f]{64}", re.ASCII)
HomeArgument = Annotated[Path, typer.Argument(metavar="HOME", help="cli.home", exists=True)]


def add(noun: typer.Typer) -> None:
    """Add the command below `certificate`."""
    noun.command("confirm", help="certificate.confirm.help")(confirm_one)


def confirm_one(
    home: HomeArgument,
    invitation: Id,
    fingerprint: Fingerprint,
    json: JsonOption = False,
    lang: LangOption = "",
) -> None:
    """Confirm the key of an invitation as root on the host, after comparing its fingerprint."""
    output, place = Output.of(json, lang), host.place(home)
    digest = digits(fingerprint)
    if _SHA256.fullmatch(digest) is None:
        raise typer.BadParameter(fingerprint, param_hint="FINGERPRINT")
    wanted = Confirmation(invitation, bytes.fromhex(digest), HOST)
    proofs = Proofs.load(place, "administration")
    event = Event(kind=KIND, door="host", detail={"alert": ALERT, "spki_sha256": digest})

    async def effect(tx: Transaction) -> Event:
        bearer = (await confirmation.confirm(tx, wanted, proofs, SYSTEM.now_us())).bearer
        told = {
            "invitation": invitation,
            "target_organisation": bearer.organisation,
            "target_subject_kind": bearer.kind,
            "target_subject_name": bearer.name,
        }
        return event.with_(detail={**(event.detail or {}), **told})

    entry = host.act(place, event, effect)
    told = {"invitation_id": invitation, "spki_sha256": digest, "leaf": entry.index}
    output.result(told, output.text("invitation.approved", id=invitation))
