"""Who lives in the simulated year: organisations, 300 people and 120 services, each with a certificate; entered as the host does it."""

import random
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric import ec

from gateway.identity import accounts, rule_files
from gateway.identity.accounts import NewAccount
from gateway.names import DEFAULT_TRUST_DOMAIN, Subject
from gateway.pki import ceremony, issue, register
from gateway.pki.verify import verified
from gateway.registry import organisations, systems
from gateway.registry.organisations import Organisation
from gateway.registry.systems import System
from tests.faults.year import words
from tests.faults.year.model import Model
from tests.faults.year.stage import Stage
from tests.faults.year.watching import created
from tests.faults.year.wire import Papers
from tests.people import ORGANISATIONS, PROVINCE

PEOPLE, SERVICES = 300, 120
ADMINS = ("p-0", "p-1")
# Certificates are test_ninety_days' matter: here they last, but for some of people who left.
LASTING = words.START + 500 * words.DAY
_LETTERS = "abdefghikmnoprstuvwz"


@dataclass(frozen=True, slots=True)
class Member:
    """One account's bearer and role."""

    key: tuple[str, str]
    role: str
    papers: Papers

    @property
    def service(self) -> bool:
        """Whether it is a system's."""
        return self.role == "uploader"


def members() -> list[tuple[str, str, str]]:
    """Organisation, name, role of everybody; the province has two administrators and no service."""
    codes = [code for code, _, _ in ORGANISATIONS]
    roles = ("auditor", "requester", "recipient", "duty_doctor", "approver", "security_officer")
    found = [(PROVINCE, name, "admin") for name in ADMINS]
    found += [(codes[n % 6], f"p-{n}", roles[n // 6 % 6]) for n in range(len(ADMINS), PEOPLE)]
    return found + [(codes[1 + n % 5], f"s-{n}", "uploader") for n in range(SERVICES)]


async def register_all(stage: Stage) -> list[Member]:
    """Register organisations, systems, people and their certificates."""
    authority = ceremony.client_authority(stage.home)
    made = []
    async with stage.owner.transaction() as tx:
        divisions = {code for code, _, _ in ORGANISATIONS}
        for code, kind, above in ORGANISATIONS:
            one = Organisation(code, f"organisation {code}", kind, above)
            await organisations.create(tx, one, divisions, words.START)
        for code, name, role in members():
            kind = "sys" if role == "uploader" else "officer"
            subject = Subject(DEFAULT_TRUST_DOMAIN, code, kind, name)
            await systems.create(tx, System(code, kind, name), words.START)
            key = ec.generate_private_key(ec.SECP256R1())
            issued = issue.client_certificate(authority, subject, key.public_key(), words.START)
            await register.insert(tx, issued, subject)
            value = verified(issued, subject)
            digests = (value.serial, value.sha256.hex(), value.spki_sha256.hex())
            made.append(Member((code, name), role, Papers(code, str(subject), *digests, LASTING)))
        await tx.execute(
            "UPDATE gateway.certificate SET not_after_us = %s, first_used_us = not_before_us",
            (LASTING,),
        )
    return made


async def found_admins(stage: Stage, model: Model) -> None:
    """Open the province's administrators' accounts, as `gateway init` does."""
    profile = rule_files.load(stage.home.policies / "passwords.toml").at(words.START)
    for name in ADMINS:
        key = (PROVINCE, name)
        one_time = await stage.hash_one_time()
        async with stage.owner.transaction() as tx:
            wanted = NewAccount(*key, ("admin",), name)
            await accounts.create(tx, wanted, one_time.hash, profile, words.START)
        model.accounts[key] = created(key, one_time.text, words.START, service=False)


async def end_certificate(stage: Stage, member: Member, not_after: int) -> None:
    """Let somebody's certificate end earlier: he is not there to renew it."""
    statement = "UPDATE gateway.certificate SET not_after_us = %s WHERE serial = %s"
    async with stage.owner.transaction() as tx:
        await tx.execute(statement, (not_after, member.papers.serial))


def password(dice: random.Random, length: int) -> str:
    """A good password of so many characters, as nobody else would choose it."""
    word = "".join(dice.choice(_LETTERS) for _ in range(length - 5))
    return f"{word[:4].title()}-{word[4:]}{dice.randrange(3000, 10000)}"
