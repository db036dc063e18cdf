"""Password hashes, argon2id (RFC 9106) off the event loop, a few at once; one-time passwords.

A stored hash names its own parameters (PHC string); only those of ACCEPTED are taken, so that
nobody who can write the table makes a hash cheaper to guess. A password that cannot be right costs
the same time as one that is wrong.
"""

import asyncio
import os
import secrets
import unicodedata
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import ParamSpec, TypeVar

import argon2
from argon2.exceptions import InvalidHashError, VerificationError

from gateway.errors import Reason, refuse

# m = 19 MiB, t = 2, p = 1: OWASP's Password Storage Cheat Sheet; some 25 ms of one core. Newest
# first: at login a hash of an older one is replaced.
ACCEPTED = (
    argon2.Parameters(
        type=argon2.Type.ID,
        version=19,
        salt_len=16,
        hash_len=32,
        time_cost=2,
        memory_cost=19 * 1024,
        parallelism=1,
    ),
)
# Half of the cores compute, four at most (19 MiB each): a flood of logins leaves the other half to
# everything else. Beyond 64 waiting (1.6 s of work where one computes) the caller is sent away.
MOST_PARALLEL = 4
WAITING = 64
# Below the event loop of the same process, which holds the log's head while a leaf is committed;
# no further below, for a thread that holds the interpreter must soon go on.
NICE = 5
RETRY_S = 2.0
# Anything longer is no password (after NFKC, whose expansion is bounded by 18); not worth
# normalising.
LONGEST_RAW = 1024
# Crockford's base 32 in lower case: no i, l, o, u. 20 characters are 100 bits.
_ONE_TIME_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_ONE_TIME_GROUPS = 4
_ONE_TIME_GROUP = 5

_Arguments = ParamSpec("_Arguments")
_Result = TypeVar("_Result")


class WrongPasswordError(Exception):
    """The password is not the account's, or there is no such account; nobody can tell which."""


@dataclass(frozen=True, slots=True)
class OneTime:
    """A one-time password: the text to hand over once, and its hash to store."""

    text: str = field(repr=False)
    hash: str = field(repr=False)


def normalised(password: str) -> str | None:
    """Return the password in NFKC, the same from every keyboard, or None when it cannot be one."""
    if len(password) > LONGEST_RAW:
        return None
    try:
        password.encode()
    except UnicodeEncodeError:
        return None
    return unicodedata.normalize("NFKC", password)


def parallel() -> int:
    """Return how many computations run at once on the cores that this process has."""
    return max(1, min(MOST_PARALLEL, len(os.sched_getaffinity(0)) // 2))


class Passwords:
    """The hashing of one process: a few threads, a bounded queue.

    Parameters are an argument for tests only.
    """

    def __init__(self, accepted: tuple[argon2.Parameters, ...] = ACCEPTED) -> None:
        """Start no thread yet; one hash is computed, for those who do not exist."""
        self._accepted = accepted
        self._hasher = argon2.PasswordHasher.from_parameters(accepted[0])
        self._parallel = parallel()
        self._threads = ThreadPoolExecutor(
            self._parallel, thread_name_prefix="argon2", initializer=_step_back
        )
        self._waiting = 0
        self._nobody = self._hasher.hash(secrets.token_hex())

    async def hash(self, password: str) -> str:
        """Return the PHC string of a password that `strength` has judged.

        Raises PASSWORD_WEAK when it cannot be one.
        """
        text = normalised(password)
        if text is None:
            raise refuse(Reason.PASSWORD_WEAK)
        return await self.run(self._hasher.hash, text)

    async def verify(self, stored: str | None, password: str) -> None:
        """Return when the password is the stored one.

        Raises WrongPasswordError, after the same time, when not. `stored` is None where there is no
        account that this caller may use. Raises RATE_LIMITED when too many wait.
        """
        text = normalised(password)
        usable = stored is not None and text is not None and self._known(stored)
        compared = stored if stored is not None and usable else self._nobody
        right = await self.run(_matches, self._hasher, compared, text or "")
        if not (right and usable):
            raise WrongPasswordError

    async def matches(self, stored: str | None, password: str) -> bool:
        """Tell whether the password is the stored one, as `verify` does."""
        try:
            await self.verify(stored, password)
        except WrongPasswordError:
            return False
        return True

    def outdated(self, stored: str) -> bool:
        """Tell whether a hash that `verify` took was made with other parameters than today's."""
        return argon2.extract_parameters(stored) != self._accepted[0]

    async def one_time(self) -> OneTime:
        """Return a fresh one-time password of 100 bits."""
        groups = (
            "".join(secrets.choice(_ONE_TIME_ALPHABET) for _ in range(_ONE_TIME_GROUP))
            for _ in range(_ONE_TIME_GROUPS)
        )
        text = "-".join(groups)
        return OneTime(text, await self.hash(text))

    async def run(
        self,
        work: Callable[_Arguments, _Result],
        *args: _Arguments.args,
        **kwargs: _Arguments.kwargs,
    ) -> _Result:
        """Run costly work in one of the threads; raises RATE_LIMITED when too many wait."""
        if self._waiting >= self._parallel + WAITING:
            raise refuse(Reason.RATE_LIMITED, retry_after_s=RETRY_S)
        self._waiting += 1
        try:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._threads, lambda: work(*args, **kwargs))
        finally:
            self._waiting -= 1

    def close(self) -> None:
        """End the threads."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _known(self, stored: str) -> bool:
        try:
            return argon2.extract_parameters(stored) in self._accepted
        except InvalidHashError:
            return False


def _step_back() -> None:
    """Lower this thread's priority: to Linux it is each thread's own (setpriority(2), Bugs)."""
    os.nice(NICE)


def _matches(hasher: argon2.PasswordHasher, stored: str, password: str) -> bool:
    try:
        return hasher.verify(stored, password)
    except VerificationError:
        return False
