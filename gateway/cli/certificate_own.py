"""`gateway certificate renew` and `pkcs12`: a profile's own certificate."""

from pathlib import Path
from typing import Annotated

import typer
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    PrivateFormat,
    load_pem_private_key,
    pkcs12,
)

from gateway.cli.connected import (
    PasswordFile,
    ProfileOption,
    asked_twice,
    connected,
    load,
    read_secret,
)
from gateway.cli.output import USAGE, CommandError, JsonOption, LangOption, Output
from gateway.client import papers
from gateway.client.client import Client
from gateway.client.files import write_private
from gateway.client.papers import Certificate
from gateway.client.profile import DEFAULT_NAME
from gateway.clock import iso

Out = Annotated[Path, typer.Option("--out", help="certificate.pkcs12.out", dir_okay=False)]
# RFC 7292 asks for iterations; as many as OWASP recommends for PBKDF2 with SHA-256 (2023).
_ROUNDS = 600_000


def add(noun: typer.Typer) -> None:
    """Add the commands below `certificate`."""
    noun.command("renew", help="certificate.renew.help")(renew)
    noun.command("pkcs12", help="certificate.pkcs12.help")(pack)


def renew(
    profile: ProfileOption = DEFAULT_NAME, json: JsonOption = False, lang: LangOption = ""
) -> None:
    """Renew the profile's certificate now, whatever its moment; also up to 7 days after its end."""
    output, found = Output.of(json, lang), load(profile)

    async def work(client: Client) -> tuple[bool, Certificate]:
        in_use = await client.rotation.renew()
        if in_use:
            await client.diagnose()  # the first use: from now on the one before is superseded
        return in_use, client.rotation.certificate

    in_use, certificate = connected(output, found, work)
    told: dict[str, object] = {
        "in_use": in_use,
        "serial": certificate.serial,
        "not_after": iso(certificate.not_after_us),
    }
    output.result(told, output.text(f"certificate.renewed-{str(in_use).lower()}", **told))


def pack(
    out: Out,
    profile: ProfileOption = DEFAULT_NAME,
    password_file: PasswordFile = None,
    json: JsonOption = False,
    lang: LangOption = "",
) -> None:
    """Write key and certificate as PKCS #12, for a browser."""
    output, found = Output.of(json, lang), load(profile)
    if out.exists():
        raise CommandError("FILE_EXISTS", str(out), status=USAGE)
    password = read_secret(password_file) if password_file else asked_twice(output, "pkcs12")
    key = load_pem_private_key(found.key.read_bytes(), None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise CommandError("FILE_UNREADABLE", str(found.key))
    certificate = found.certificate.read_bytes()
    sealed = (
        PrivateFormat.PKCS12.encryption_builder()
        .kdf_rounds(_ROUNDS)
        .key_cert_algorithm(pkcs12.PBES.PBESv2SHA256AndAES256CBC)
        .hmac_hash(hashes.SHA256())
        .build(password.value.encode())
    )
    leaf = x509.load_pem_x509_certificate(certificate)
    name = str(papers.read(certificate).subject).encode()
    write_private(out, pkcs12.serialize_key_and_certificates(name, key, leaf, None, sealed))
    output.result({"file": str(out)}, output.text("certificate.packed", file=out))
