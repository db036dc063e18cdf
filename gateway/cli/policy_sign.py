"""`gateway policy pending` and `approve`: what a security officer reads before signing, and signs.

What is shown and signed is computed here from the texts that came, never from what the gateway
says of them.
"""

import difflib
import uuid
from collections.abc import Iterable
from typing import Annotated

import typer

from gateway.cli.connected import ProfileOption, connected, load
from gateway.cli.output import CommandError, JsonOption, LangOption, Output
from gateway.client import papers
from gateway.client.client import Client
from gateway.client.profile import DEFAULT_NAME
from gateway.clock import iso
from gateway.policy import activation, bundle
from gateway.policy.bundle import BundleError
from gateway.v1 import admin_service_pb2 as v1

UNKNOWN = "POLICY_UNKNOWN"
TAMPERED = "POLICY_TAMPERED"
Digest = Annotated[str, typer.Argument(metavar="SHA256", help="policy.sha256")]


def add(noun: typer.Typer) -> None:
    """Add the commands below `policy`."""
    noun.command("pending", help="policy.pending.help")(pending)
    noun.command("approve", help="policy.approve.help")(approve)


def pending(
    profile: ProfileOption = DEFAULT_NAME, json: JsonOption = False, lang: LangOption = ""
) -> None:
    """Show what is in force and what waits, with every changed line."""
    output, found = Output.of(json, lang), load(profile)
    answer = connected(output, found, _get)
    in_force = _digest(answer.active)
    activated = iso(answer.activate_time.ToMicroseconds())
    shown = {"number": answer.number, "sha256": in_force, "since": activated}
    parts, documents = [output.text("policy.in-force", **shown)], []
    for one in answer.proposals:
        document = _document(one, answer.active)
        documents.append(document)
        parts += _page(output, one, document)
    output.result({**shown, "proposals": documents}, "\n".join(parts))


def approve(
    sha256: Digest,
    profile: ProfileOption = DEFAULT_NAME,
    json: JsonOption = False,
    lang: LangOption = "",
) -> None:
    """Sign a bundle; the second officer's signature puts it in force."""
    output, found = Output.of(json, lang), load(profile)

    async def work(client: Client) -> bool:
        answer = await _get(client)
        meant = [one for one in answer.proposals if _digest(one.bundle) == sha256]
        if not meant:
            raise CommandError(UNKNOWN, output.text("policy.unknown", sha256=sha256))
        statement = activation.statement(meant[0].number, sha256)
        request = v1.ApprovePoliciesRequest(
            request_id=str(uuid.uuid4()),
            sha256=sha256,
            signature=papers.signed(found.key.read_bytes(), statement),
        )
        return (await client.call(client.admin.ApprovePolicies, request)).active

    active = connected(output, found, work)
    msgid = "policy.activated" if active else "policy.signed"
    output.result({"sha256": sha256, "active": active}, output.text(msgid, sha256=sha256))


async def _get(client: Client) -> v1.GetPoliciesResponse:
    return await client.call(client.admin.GetPolicies, v1.GetPoliciesRequest())


def _texts(one: v1.PolicyBundle) -> dict[str, str]:
    return {file.name: file.text for file in one.files}


def _digest(one: v1.PolicyBundle) -> str:
    """Return the digest of the texts that came; raises CommandError where another was told."""
    try:
        computed = bundle.of_files(_texts(one)).sha256
    except BundleError as error:
        raise CommandError(TAMPERED, str(error)) from error
    if computed != one.sha256:
        raise CommandError(TAMPERED, f"{one.sha256}: the texts have the digest {computed}")
    return computed


def _document(one: v1.PolicyProposal, active: v1.PolicyBundle) -> dict[str, object]:
    return {
        "number": one.number,
        "sha256": _digest(one.bundle),
        "propose_time": iso(one.propose_time.ToMicroseconds()),
        "open_time": iso(one.open_time.ToMicroseconds()),
        "signed_by": [each.officer_name for each in one.signatures],
        "replayed": one.replayed_count,
        "not_replayed": one.not_replayed_count,
        "newly_allowed": list(one.newly_allowed),
        "newly_denied": list(one.newly_denied),
        "changes": list(_changes(_texts(active), _texts(one.bundle))),
    }


def _changes(before: dict[str, str], after: dict[str, str]) -> Iterable[str]:
    """Yield the changed lines of all files, as `diff -u` does."""
    for name in sorted(before.keys() | after.keys()):
        old, new = before.get(name, ""), after.get(name, "")
        yield from difflib.unified_diff(
            old.splitlines(), new.splitlines(), name, name, lineterm="", n=1
        )


def _page(output: Output, one: v1.PolicyProposal, document: dict[str, object]) -> list[str]:
    signed = ", ".join(each.officer_name for each in one.signatures) or "-"
    shown = {key: document[key] for key in ("number", "sha256", "propose_time", "open_time")}
    parts = ["", output.text("policy.waits", **shown, signed=signed)]
    parts += _changes_of(document)
    parts.append(output.text("policy.replayed", count=one.replayed_count))
    if one.not_replayed_count:
        parts.append(output.text("policy.not-replayed", count=one.not_replayed_count))
    for title, lines in (
        ("newly-allowed", one.newly_allowed),
        ("newly-denied", one.newly_denied),
    ):
        parts += [output.text(f"policy.{title}", count=len(lines)), *lines]
    return parts


def _changes_of(document: dict[str, object]) -> list[str]:
    changes = document["changes"]
    return changes if isinstance(changes, list) else []
