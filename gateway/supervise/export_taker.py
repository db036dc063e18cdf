"""Takes the one step in which the key that signs manifests follows another; both stay published."""

from dataclasses import replace

from gateway.config.home import Home
from gateway.identity import secret_rows
from gateway.identity.lives import HOST, Kept
from gateway.identity.rotation import Kind, Secret, Step
from gateway.identity.secret_rows import OpenStep
from gateway.store import export_keys
from gateway.store.database import Transaction
from gateway.store.export_keys import ExportKeyError
from gateway.supervise.taker import StepError, Taken


class ExportTaker:
    """Takes the steps of the keys that sign manifests on the files of a HOME."""

    kind: Kind = "export-key"

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
        """Make and publish the next key, once, and forget the one before; by the next it signs."""
        try:
            return Taken(export_keys.follow(self._home, step.secret.key_id))
        except ExportKeyError as error:
            raise StepError(str(error)) from None

    async def close(self, tx: Transaction, step: OpenStep, key_id: str, now_us: int) -> None:
        """Enter the next key; every other is one that was followed."""
        for one in await secret_rows.in_force(tx):
            if one.secret.kind == self.kind:
                await secret_rows.turn(tx, one.secret, "replaced", now_us)
        made = Kept(replace(step.secret, key_id=key_id), now_us, used_us=now_us)
        await secret_rows.enter(tx, made)
