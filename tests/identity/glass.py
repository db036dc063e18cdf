"""Break-glass in an office without sockets: a province with four officers, sealed and coded."""

from dataclasses import dataclass, replace
from uuid import uuid4

from gateway.identity import breakglass, breakglass_secrets
from gateway.identity.breakglass import Why
from gateway.identity.breakglass_rows import Opening, Sealing
from gateway.identity.breakglass_secrets import Shown
from gateway.link.connection import Connection
from gateway.names import parse_subject
from gateway.registry import systems
from gateway.registry.systems import System
from tests.identity.office import Office, connection

PROVINCE = "140000"
NAMES = ("li", "sun", "zhao", "wang")
THREE = NAMES[:3]
WHY = Why("OPS-1", drill=False)


def over(name: str, certificate: str = "") -> Connection:
    """The connection of an officer of the province."""
    return connection(f"officer/{name}", PROVINCE, certificate or name)


@dataclass
class Glass:
    """An office whose break-glass is sealed; wang is none of the three."""

    office: Office
    sealing: Sealing
    texts: tuple[str, ...]
    codes: dict[str, str]

    async def ask(self, envelope: int = 1, why: Why = WHY, by: str = "wang") -> Opening:
        """Open an envelope."""
        shown = Shown(self.sealing, envelope)
        async with self.office.database.transaction() as tx:
            return await breakglass.ask(self.office.desk, tx, over(by), shown, str(uuid4()), why)

    async def confirm(self, opening: Opening, name: str) -> breakglass.Confirmed:
        """Confirm as this officer, with his code."""
        desk = self.office.desk
        proven = await breakglass_secrets.prove_code(desk, over(name), opening.id, self.codes[name])
        async with self.office.database.transaction() as tx:
            return await breakglass.confirm(desk, tx, over(name), proven)

    async def enter(self, opening: Opening, by: Connection | None = None):
        """Enter as who opened."""
        async with self.office.database.transaction() as tx:
            return await breakglass.enter(self.office.desk, tx, by or over("wang"), opening.id)

    async def opened(self, why: Why = WHY) -> Opening:
        """An opening that two confirmed."""
        found = await self.ask(why=why)
        await self.confirm(found, "li")
        return (await self.confirm(found, "sun")).opening


async def sealed(office: Office) -> Glass:
    """Register the officers, seal, and make three codes."""
    async with office.administration.transaction() as tx:
        for name in NAMES:
            await systems.create(tx, System(PROVINCE, "officer", name), 1)
    for name in NAMES:
        role = "security_officer" if name in THREE else "requester"
        await office.open_account(f"{name}-acc", PROVINCE, role, name)
    return await sealed_anew(office)


async def sealed_anew(office: Office) -> Glass:
    """Seal, and make three codes."""
    found = await breakglass_secrets.credentials(office.desk)
    made = Sealing(str(uuid4()), PROVINCE, "li", office.clock.now_us(), None)
    codes = {}
    async with office.database.transaction() as tx:
        await breakglass.seal(office.desk, tx, made, found, THREE)
    for name in THREE:
        one_time = await office.desk.passwords.one_time()
        codes[name] = one_time.text
        async with office.database.transaction() as tx:
            await breakglass.register_code(
                tx, parse_subject(over(name).subject), one_time.hash, office.clock.now_us()
            )
    return Glass(office, replace(made), found.texts, codes)
