"""Takes the one step in which a database role's password follows another (`role_passwords`)."""

import asyncio
from dataclasses import replace

from gateway.config import settings
from gateway.config.home import Home
from gateway.identity import secret_rows
from gateway.identity.lives import HOST, Kept
from gateway.identity.rotation import Kind, Secret, Step
from gateway.identity.secret_rows import OpenStep
from gateway.store import role_passwords
from gateway.store.database import StoreError, Transaction
from gateway.store.role_passwords import RolePasswordError
from gateway.supervise.taker import StepError, Taken


class DatabaseTaker:
    """Takes the steps of database passwords on a HOME and its server."""

    kind: Kind = "database-password"

    def __init__(self, home: Home) -> None:
        """Work on this HOME."""
        self._home = home

    def begins(self, kept: Kept, step: Step, following: int) -> Secret | None:
        """Return the role's next generation; None where a person changes it."""
        return Secret(self.kind, kept.secret.name, HOST, following) if step == "switch" else None

    async def take(self, step: OpenStep) -> Taken:
        """Change the role's password; broken off after that and taken again, once more."""
        own = settings.load(self._home.settings)
        try:
            await asyncio.to_thread(role_passwords.change, self._home, own, step.secret.name)
        except (RolePasswordError, StoreError) as error:
            raise StepError(str(error)) from None
        return Taken("")

    async def close(self, tx: Transaction, step: OpenStep, key_id: str, now_us: int) -> None:
        """Enter the password (its key id is ""); the one before opens nothing any more."""
        for one in await secret_rows.in_force(tx):
            if (one.secret.kind, one.secret.name) == (self.kind, step.secret.name):
                await secret_rows.turn(tx, one.secret, "ended", now_us)
        await secret_rows.enter(
            tx, Kept(replace(step.secret, key_id=key_id), now_us, used_us=now_us)
        )
