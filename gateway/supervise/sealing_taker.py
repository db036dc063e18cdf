"""Takes the one step in which a sealing key follows another; those that were followed stay."""

from dataclasses import replace

from gateway.config.home import Home
from gateway.identity import secret_rows
from gateway.identity.lives import HOST, Kept
from gateway.identity.rotation import Kind, Secret, Step
from gateway.identity.secret_rows import OpenStep
from gateway.store import seal_keys
from gateway.store.database import Transaction
from gateway.store.seal_keys import SealError, Use
from gateway.supervise.taker import StepError, Taken


class SealingTaker:
    """Takes the steps of sealing keys on the files of a HOME."""

    kind: Kind = "sealing-key"

    def __init__(self, home: Home) -> None:
        """Work on this HOME."""
        self._home = home

    def begins(self, kept: Kept, step: Step, following: int) -> Secret | None:
        """Return the generation that follows, under the name of the key that it follows.

        So a step that is taken again knows whether it was taken.
        """
        if step != "publish":
            return None
        return Secret(self.kind, kept.secret.name, HOST, following, kept.secret.key_id)

    async def take(self, step: OpenStep) -> Taken:
        """Make and publish the next key, once; its key id is the one that is sealed to then."""
        use: Use = "restricted" if step.secret.name == "restricted" else "body"
        try:
            return Taken(seal_keys.follow(self._home, use, step.secret.key_id))
        except SealError as error:
            raise StepError(str(error)) from None

    async def close(self, tx: Transaction, step: OpenStep, key_id: str, now_us: int) -> None:
        """Enter the next key; every other of its use is one that was followed."""
        for one in await secret_rows.in_force(tx):
            if (one.secret.kind, one.secret.name) == (self.kind, step.secret.name):
                await secret_rows.turn(tx, one.secret, "replaced", now_us)
        made = Kept(replace(step.secret, key_id=key_id), now_us, used_us=now_us)
        await secret_rows.enter(tx, made)
