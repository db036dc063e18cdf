"""Takes the two steps in which the log's signing key follows another: switch, retire.

    switch    at a person's word: a new key for the signer, which vouches for it and from then on
              signs with both; then note and key are published, and the log is told (`log.key`)
    retire    once both have signed for long enough: the old private key goes

The signer is asked after each: what it answers bears the lines of the keys that sign now.
"""

import hashlib
from dataclasses import replace

from gateway.audit.event import Event
from gateway.audit.signing import SignerError, SignerLink
from gateway.config.home import Home
from gateway.identity import secret_rows, signer_rotation
from gateway.identity.lives import HOST, Kept
from gateway.identity.rotation import Kind, Secret, Step
from gateway.identity.secret_rows import OpenStep
from gateway.identity.signer_rotation import SignerKeyError
from gateway.store.database import Transaction
from gateway.supervise.taker import StepError, Taken
from gateway.tlog.keys import signs
from gateway.tlog.note import Verifier


class SignerTaker:
    """Takes the steps of the log's key, with the signer's help."""

    kind: Kind = "signer-key"

    def __init__(self, home: Home) -> None:
        """Work on this HOME."""
        self._home = home

    def begins(self, kept: Kept, step: Step, following: int) -> Secret | None:
        """Return of which key a step is begun.

        Raises StepError on a switch while the key before still signs too.
        """
        if step == "retire":
            return kept.secret
        if step != "switch":
            return None
        if len(self._verifiers()) > 1:
            raise StepError("the key before still signs too")
        return Secret(self.kind, kept.secret.name, HOST, following)

    async def take(self, step: OpenStep) -> Taken:
        """Take a step on the files; its key id is that of the key it is of."""
        try:
            if step.step == "retire":
                return await self._retire(step.secret)
            return await self._switch()
        except SignerKeyError as error:
            raise StepError(str(error)) from error

    async def close(self, tx: Transaction, step: OpenStep, key_id: str, now_us: int) -> None:
        """Enter the new key, and that it replaced the one before; or note that one's end."""
        secret = step.secret
        if step.step == "retire":
            await secret_rows.turn(tx, secret, "ended", now_us)
            return
        for one in await secret_rows.in_force(tx):
            if one.secret.kind == self.kind and one.secret.generation != secret.generation:
                await secret_rows.turn(tx, one.secret, "replaced", now_us)
        await secret_rows.enter(tx, Kept(replace(secret, key_id=key_id), now_us, used_us=now_us))

    async def _switch(self) -> Taken:
        signer_rotation.add(self._home)
        new, *before = self._verifiers()
        await self._expect(new, *before)
        found, raw = signer_rotation.publish(self._home)
        detail: dict[str, str | int] = {
            "old_key": found.old.key_id.hex(),
            "new_key": found.new.key_id.hex(),
            "from_size": found.from_size,
            "digest": hashlib.sha256(raw).hexdigest(),
        }
        return Taken(signer_rotation.key_id(found.new), Event(kind="log.key", detail=detail))

    async def _retire(self, secret: Secret) -> Taken:
        if signer_rotation.key_id(self._verifiers()[0]) == secret.key_id:
            raise StepError("the key that signs is not retired")
        signer_rotation.retire(self._home)
        await self._expect(*self._verifiers())
        return Taken(secret.key_id)

    async def _expect(self, *signing: Verifier) -> None:
        """Raise StepError unless the signer answers with the lines of exactly these keys."""
        link = SignerLink(self._home.signer_socket)
        try:
            await link.start()
            newest, _ = await link.newest()
        except SignerError as error:
            raise StepError(str(error)) from error
        finally:
            await link.close()
        if not all(signs(newest, one) for one in signing) or newest.count("\n— ") != len(signing):
            raise StepError("the signer does not sign with the keys in its file")

    def _verifiers(self) -> list[Verifier]:
        try:
            return signer_rotation.verifiers(self._home)
        except (SignerKeyError, OSError) as error:
            raise StepError(str(error)) from error
