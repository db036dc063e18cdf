"""Takes the steps in which a token key follows another: publish, switch, retire."""

from dataclasses import replace

from gateway.config.home import Home
from gateway.identity import secret_rows, token_rotation
from gateway.identity.lives import HOST, Kept
from gateway.identity.rotation import Kind, Secret, Step
from gateway.identity.secret_rows import OpenStep
from gateway.store.database import Transaction
from gateway.supervise.taker import Taken


class TokenTaker:
    """Takes the steps of token keys on the files of a HOME."""

    kind: Kind = "token-key"

    def __init__(self, home: Home) -> None:
        """Work on this HOME."""
        self._home = home

    def begins(self, kept: Kept, step: Step, following: int) -> Secret | None:
        """Return of which key a step is begun: a switch is the waiting key's, all else not."""
        if (step == "switch") != (kept.used_us is None):
            return None
        if step == "publish":
            return Secret(self.kind, kept.secret.name, HOST, following)
        return kept.secret

    async def take(self, step: OpenStep) -> Taken:
        """Take a step on the files; its key id is the kid that they then name."""
        if step.step == "publish":
            return Taken(token_rotation.publish(self._home))
        if step.step == "switch":
            return Taken(token_rotation.switch(self._home))
        return Taken(token_rotation.retire(self._home, step.secret.key_id))

    async def close(self, tx: Transaction, step: OpenStep, key_id: str, now_us: int) -> None:
        """Enter a published key, note the use of one that signs, the end of one that went."""
        secret = step.secret
        if step.step == "publish":
            await secret_rows.enter(tx, Kept(replace(secret, key_id=key_id), now_us))
        elif step.step == "retire":
            await secret_rows.turn(tx, secret, "ended", now_us)
        elif key_id == secret.key_id:
            for one in await secret_rows.in_force(tx):
                if one.secret.kind == self.kind and one.used_us is not None:
                    await secret_rows.turn(tx, one.secret, "replaced", now_us)
            await secret_rows.turn(tx, secret, "used", now_us)
        # Else the files were exchanged meanwhile: what they say is entered, and told.
