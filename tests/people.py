"""The people of the province that tests live in: organisations, units, and who comes in for them."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from gateway.clock import SYSTEM
from gateway.config.policies import shipped
from gateway.identity.passwords import Passwords
from gateway.identity.rules import DAY_US
from gateway.names import DEFAULT_TRUST_DOMAIN, Subject, SubjectKind
from gateway.pki import issue, register
from gateway.pki.issue import Authority
from gateway.pki.verify import verified
from gateway.policy import activation, bundle
from gateway.store.database import Database, Transaction

PASSWORD = "Grey-Kettle-Opens-48"
PROVINCE, CITY, OTHER_CITY = "140000", "140100", "140200"
COUNTY, SECOND_COUNTY, OTHER_COUNTY = "140105", "140106", "140212"
# Each: its code, what it is (registry.organisations.Kind), the one above it.
ORGANISATIONS: tuple[tuple[str, int, str | None], ...] = (
    (PROVINCE, 1, None),
    (CITY, 2, PROVINCE),
    (OTHER_CITY, 2, PROVINCE),
    (COUNTY, 3, CITY),
    (SECOND_COUNTY, 3, CITY),
    (OTHER_COUNTY, 3, OTHER_CITY),
)
# Each county has one vaccination unit, each city a disease control centre.
UNITS = {
    CITY: "1401000001",
    OTHER_CITY: "1402000001",
    COUNTY: "1401050001",
    SECOND_COUNTY: "1401060001",
    OTHER_COUNTY: "1402120001",
}


@dataclass(frozen=True, slots=True)
class Person:
    """Who comes in: a certificate with its key, and an account of PASSWORD."""

    subject: Subject
    account: str
    roles: tuple[str, ...]
    key: ec.EllipticCurvePrivateKey = field(repr=False)
    certificate: x509.Certificate

    @property
    def organisation(self) -> str:
        """The organisation of the certificate."""
        return self.subject.organisation

    @property
    def unit(self) -> str:
        """The organisation's own unit."""
        return UNITS[self.organisation]

    @property
    def serial(self) -> str:
        """The certificate's serial as the register has it."""
        return verified(self.certificate, self.subject).serial


async def populate(conninfo: str, authority: Authority) -> dict[tuple[str, str], Person]:
    """Register everybody, with PASSWORD, and return them by organisation and account."""
    database = await Database.open(conninfo, application="world", size=1)
    hashed = await Passwords().hash(PASSWORD)
    people = {}
    async with database.transaction() as tx:
        await _register(tx)
        files = bundle.files(shipped("policies") / "cedar")
        await activation.found(tx, files, SYSTEM.now_us())
        for organisation, kind, account, role in _everybody():
            person = issued(
                authority, Subject(DEFAULT_TRUST_DOMAIN, organisation, kind, account), role
            )
            await _enter(tx, person, hashed)
            people[organisation, account] = person
    await database.close()
    return people


async def newcomer(conninfo: str, authority: Authority, subject: Subject) -> Person:
    """Register another certificate of a subject that is registered, and return who bears it."""
    person = issued(authority, subject)
    database = await Database.open(conninfo, application="newcomer", size=1)
    async with database.transaction() as tx:
        await _certify(tx, person)
    await database.close()
    return person


def issued(authority: Authority, subject: Subject, role: str = "uploader") -> Person:
    """Return a person with a fresh certificate, which is not registered yet."""
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = issue.client_certificate(authority, subject, key.public_key(), SYSTEM.now_us())
    return Person(subject, subject.name, (role,), key, certificate)


def _everybody() -> Iterator[tuple[str, SubjectKind, str, str]]:
    for organisation in UNITS:
        yield organisation, "sys", "uploader", "uploader"
    for organisation in (PROVINCE, CITY):
        yield organisation, "officer", "admin", "admin"
        yield organisation, "officer", "auditor", "auditor"


async def _register(tx: Transaction) -> None:
    for code, kind, parent in ORGANISATIONS:
        await tx.execute(
            "INSERT INTO gateway.organisation (code, name, kind, parent, state, created_us)"
            " VALUES (%s, %s, %s, %s, 1, %s)",
            (code, f"organisation {code}", kind, parent, SYSTEM.now_us()),
        )
    for organisation, unit in UNITS.items():
        await tx.execute(
            "INSERT INTO gateway.unit"
            " (unit_code, organisation, division, level, name, active_from)"
            " VALUES (%s, %s, %s, 4, %s, '2020-01-01')",
            (unit, organisation, organisation, f"unit {unit}"),
        )


async def _enter(tx: Transaction, person: Person, hashed: str) -> None:
    subject, now_us = person.subject, SYSTEM.now_us()
    await tx.execute(
        "INSERT INTO gateway.system (organisation, kind, name, state, created_us)"
        " VALUES (%s, %s, %s, 1, %s)",
        (subject.organisation, subject.kind, subject.name, now_us),
    )
    await _certify(tx, person)
    await tx.execute(
        "INSERT INTO gateway.account (organisation, name, roles, subject_kind, subject_name,"
        " password_hash, password_set_us, password_expires_us, must_change, history, created_us)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, false, %s, %s)",
        (
            *(subject.organisation, person.account, list(person.roles)),
            *(subject.kind, subject.name, hashed),
            *(now_us - 2 * DAY_US, now_us + 88 * DAY_US, [hashed], now_us),
        ),
    )


async def _certify(tx: Transaction, person: Person) -> None:
    """Register a person's certificate as one that was used before."""
    await register.insert(tx, person.certificate, person.subject)
    await tx.execute(
        "UPDATE gateway.certificate SET first_used_us = not_before_us WHERE serial = %s",
        (person.serial,),
    )
