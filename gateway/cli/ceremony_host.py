"""`gateway certificate ceremony request, install, retire, trust` and `register`: on the gateway.

The leaf is committed first, then the files change: a ceremony that nobody can read about has not
taken place. What is refused leaves its leaf too.
"""

from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Annotated, TypeVar

import typer
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding

from gateway.audit.event import Event
from gateway.cli import host
from gateway.cli.output import JsonOption, LangOption, Output
from gateway.clock import SYSTEM
from gateway.config import settings
from gateway.config.folders import write_public
from gateway.config.home import Home
from gateway.config.strict import SettingsError
from gateway.errors import Reason, Refusal, Violation, refuse
from gateway.pki import authorities, der, external, keys, offline, revoke, rollover
from gateway.pki import register as registered
from gateway.pki.authorities import Anchor
from gateway.pki.revoke import Target
from gateway.pki.rollover import Next
from gateway.pki.verify import Verified
from gateway.store.database import Transaction

KIND = "admin.certificate.ceremony"
REGISTER = "admin.certificate.register"
_IN_FORCE = (
    "SELECT count(*) FROM gateway.certificate WHERE state = 1 AND not_after_us > %s"
    " AND coalesce(issuer_sha256, %s) = %s"
)


class Requested(StrEnum):
    """What a request may be for."""

    CLIENT_AUTHORITY = "client-authority"
    SERVER_AUTHORITY = "server-authority"
    SERVER = "server"


HomeArgument = Annotated[Path, typer.Argument(metavar="HOME", help="cli.home", exists=True)]
KindOption = Annotated[Requested, typer.Option("--kind", help="ceremony.kind")]
File = Annotated[Path, typer.Option("--out", help="ceremony.out", dir_okay=False)]
Token = Annotated[str, typer.Option("--token", help="ceremony.token", metavar="URI")]
Certificate = Annotated[
    Path, typer.Argument(metavar="FILE", help="ceremony.certificate", exists=True)
]
Spki = Annotated[str, typer.Option("--authority", help="ceremony.spki", metavar="SHA256")]
Revoke = Annotated[bool, typer.Option("--revoke", help="ceremony.revoke")]
Trusted = Annotated[Path, typer.Option("--authority", help="ceremony.trusted", exists=True)]
List = Annotated[Path, typer.Option("--crl", help="ceremony.crl", exists=True)]
Made = TypeVar("Made")


def add(noun: typer.Typer) -> None:
    """Add the commands below `certificate ceremony`."""
    noun.command("request", help="ceremony.request.help")(request)
    noun.command("install", help="ceremony.install.help")(install)
    noun.command("retire", help="ceremony.retire.help")(retire)
    noun.command("trust", help="ceremony.trust.help")(trust)


def request(
    home: HomeArgument,
    kind: KindOption,
    out: File,
    token: Token = "",
    json: JsonOption = False,
    lang: LangOption = "",
) -> None:
    """Make a key where it will be used, and a request to be carried to the offline machine."""
    output, place = Output.of(json, lang), host.place(home)
    made: list[x509.CertificateSigningRequest] = []

    async def effect(_: Transaction) -> Event:
        made.append(_fit(lambda: rollover.request(place, kind.value, token)))
        return _event("requested", kind.value, made[0].public_key())

    entry = host.act(place, Event(kind=KIND, door="host"), effect)
    write_public(out, made[0].public_bytes(Encoding.PEM))
    fingerprint = offline.grouped(keys.spki_sha256(made[0].public_key()))
    told = {"kind": kind.value, "key_sha256": fingerprint, "file": str(out)}
    output.result({**told, "leaf": entry.index}, output.text("ceremony.requested", **told))


def install(
    home: HomeArgument, file: Certificate, json: JsonOption = False, lang: LangOption = ""
) -> None:
    """Put a certificate that was signed offline into use; nobody's call fails meanwhile."""
    output, place = Output.of(json, lang), host.place(home)
    domain = settings.load(place.settings).trust_domain
    judged: list[Next] = []

    async def effect(_: Transaction) -> Event:
        content, now_us = file.read_bytes(), SYSTEM.now_us()
        judged.append(_fit(lambda: rollover.judge(place, content, domain, now_us)))
        return _event("installed", judged[0].kind, judged[0].certificate.public_key())

    entry = host.act(place, Event(kind=KIND, door="host"), effect)
    rollover.put(place, judged[0], SYSTEM.now_us())
    certificate = judged[0].certificate
    told = {
        "kind": judged[0].kind,
        "subject": certificate.subject.rfc4514_string(),
        "not_after": certificate.not_valid_after_utc.isoformat(),
        "key_sha256": offline.grouped(keys.spki_sha256(certificate.public_key())),
    }
    output.result({**told, "leaf": entry.index}, output.text("ceremony.installed", **told))


def retire(
    home: HomeArgument,
    authority: Spki,
    revoke_all: Revoke = False,
    json: JsonOption = False,
    lang: LangOption = "",
) -> None:
    """Trust an authority no more, once none of its certificates is in force."""
    output, place = Output.of(json, lang), host.place(home)
    found: list[Anchor] = []

    async def effect(tx: Transaction) -> Event:
        anchors = _fit(lambda: authorities.load(place))
        found.append(_fit(lambda: rollover.find(anchors, authority)))
        await _require_unused(tx, found[0], authorities.oldest(anchors))
        return _event("retired", "client-authority", found[0].certificate.public_key())

    if revoke_all:
        _revoke(place, authority)
    entry = host.act(place, Event(kind=KIND, door="host"), effect)
    rollover.retire(place, found[0], entry.index)
    told = {
        "subject": found[0].certificate.subject.rfc4514_string(),
        "key_sha256": offline.grouped(found[0].spki_sha256),
    }
    output.result({**told, "leaf": entry.index}, output.text("ceremony.retired", **told))


def trust(
    home: HomeArgument,
    authority: Trusted,
    crl: List,
    json: JsonOption = False,
    lang: LangOption = "",
) -> None:
    """Trust an authority that is not ours, with its revocation list."""
    output, place = Output.of(json, lang), host.place(home)
    judged: list[tuple[x509.Certificate, x509.CertificateRevocationList]] = []

    async def effect(_: Transaction) -> Event:
        judged.append(_fit(lambda: _external(place, authority, crl)))
        return _event("trusted", "external_authority", judged[0][0].public_key())

    entry = host.act(place, Event(kind=KIND, door="host"), effect)
    external.trust(place, *judged[0])
    certificate = judged[0][0]
    told = {
        "subject": certificate.subject.rfc4514_string(),
        "key_sha256": offline.grouped(keys.spki_sha256(certificate.public_key())),
        "list": str(authorities.external_list(place, certificate)),
    }
    output.result({**told, "leaf": entry.index}, output.text("ceremony.trusted.done", **told))


def register_one(
    home: HomeArgument, file: Certificate, json: JsonOption = False, lang: LangOption = ""
) -> None:
    """Enter a certificate that an external authority issued: a lineage of its own."""
    output, place = Output.of(json, lang), host.place(home)
    domain = settings.load(place.settings).trust_domain
    judged: list[Verified] = []

    async def effect(tx: Transaction) -> Event:
        leaf = _fit(lambda: authorities.read(file)[0])
        content = leaf.public_bytes(Encoding.DER)
        one = _fit(lambda: external.judge_leaf(place, content, domain, SYSTEM))
        judged.append(one)
        bearer = registered.Bearer(one.subject.organisation, one.subject.kind, one.subject.name)
        await registered.require_active(tx, bearer)
        if await registered.read(tx, one.serial) is not None:
            raise refuse(Reason.ALREADY_EXISTS)
        await registered.insert(tx, leaf, one.subject, one.issuer_sha256)
        told = {**Target.of_bearer(bearer).told, "issuer_sha256": one.issuer_sha256.hex()}
        return Event(kind=REGISTER, door="host", detail={**told, "target_serial": one.serial})

    entry = host.act(place, Event(kind=REGISTER, door="host"), effect, "identity")
    told = {"serial": judged[0].serial, "subject": str(judged[0].subject)}
    output.result({**told, "leaf": entry.index}, output.text("ceremony.registered", **told))


async def _require_unused(tx: Transaction, anchor: Anchor, oldest: Anchor | None) -> None:
    """Pass an authority none of whose certificates is in force; raises FIELD_INVALID."""
    none_is = b"" if oldest is None else oldest.spki_sha256
    row = await tx.fetch_one(_IN_FORCE, (SYSTEM.now_us(), none_is, anchor.spki_sha256))
    count = row[0] if row else 0
    if count:
        english = f"{count} certificates of this authority are in force: wait, or --revoke"
        chinese = f"该机构仍有 {count} 张有效证书：请等待其到期，或使用 --revoke"
        violation = Violation("authority", "authority-in-use", english, chinese)
        raise refuse(Reason.FIELD_INVALID, violations=(violation,))


def _revoke(place: Home, digits: str) -> None:
    """Take back all that an authority issued, with a leaf of its own."""
    event = Event(kind=revoke.KIND, door="host")

    async def effect(tx: Transaction) -> Event:
        anchors = _fit(lambda: authorities.load(place))
        anchor = _fit(lambda: rollover.find(anchors, digits))
        target = revoke.authority_target(place, anchor.spki_sha256)
        done = await revoke.revoke_all(tx, target, "cessation", SYSTEM.now_us())
        return event.with_(detail=target.told, counts={"certificates": done.certificates})

    host.act(place, event, effect)


def _external(
    place: Home, authority: Path, crl: Path
) -> tuple[x509.Certificate, x509.CertificateRevocationList]:
    certificates = authorities.read(authority)
    if len(certificates) != 1:
        raise SettingsError(f"{authority}: exactly one certificate, the authority's own")
    try:
        found = der.revocation_list(crl.read_bytes())
    except der.MalformedError as error:
        raise SettingsError(f"{crl}: {error}") from error
    external.judge(place, certificates[0], found, SYSTEM.now_us())
    return certificates[0], found


def _event(state: str, kind: str, key: CertificatePublicKeyTypes) -> Event:
    told = {
        "state": state,
        "role": kind.replace("-", "_"),
        "spki_sha256": keys.spki_sha256(key).hex(),
    }
    return Event(kind=KIND, door="host", detail=told)


def _fit(make: Callable[[], Made]) -> Made:
    """Return what a step makes; what is wrong with the files becomes a refusal, with its leaf."""
    try:
        return make()
    except SettingsError as error:
        raise _refusal(str(error)) from error


def _refusal(text: str) -> Refusal:
    violation = Violation("file", "ceremony", text, f"不符合要求：{text}")
    return refuse(Reason.CERT_PROFILE, violations=(violation,))
