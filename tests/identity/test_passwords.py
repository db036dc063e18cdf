"""Hashes: the shipped parameters, a bounded queue, nothing that tells a known account from an unknown one."""

import asyncio
import os
import threading
from collections.abc import Awaitable, Callable
from dataclasses import replace

import argon2
import pytest

from gateway.errors import ExhaustedError, InvalidError, Reason
from gateway.identity import passwords
from gateway.identity.passwords import ACCEPTED, OneTime, Passwords, WrongPasswordError, normalised
from tests.identity.office import CHEAP, GOOD, OLDER


def hashing(scene: Callable[[Passwords], Awaitable[None]], *accepted: argon2.Parameters) -> None:
    async def run() -> None:
        made = Passwords(accepted or (CHEAP, OLDER))
        try:
            await scene(made)
        finally:
            made.close()

    asyncio.run(run())


def test_shipped_parameters_are_argon2id_19_mib_two_rounds() -> None:
    first = ACCEPTED[0]
    assert (first.type, first.memory_cost, first.time_cost, first.parallelism) == (
        argon2.Type.ID,
        19456,
        2,
        1,
    )


def test_a_hash_names_its_parameters_and_is_verified() -> None:
    async def scene(made: Passwords) -> None:
        stored = await made.hash(GOOD)
        assert stored.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
        await made.verify(stored, GOOD)
        with pytest.raises(WrongPasswordError):
            await made.verify(stored, GOOD + "x")

    hashing(scene, *ACCEPTED)


def test_the_same_text_from_another_keyboard_is_the_same_password() -> None:
    async def scene(made: Passwords) -> None:
        stored = await made.hash("ﬁne-Ｇranite-9-é")
        await made.verify(stored, "fine-Granite-9-e\u0301")
        with pytest.raises(WrongPasswordError):
            await made.verify(stored, "fine-Granite-9-e")

    hashing(scene)


@pytest.mark.parametrize("password", ["", "\ud800", "x" * 1025, "x\u0000y"])
def test_what_cannot_be_a_password_is_wrong_like_any_other(password: str) -> None:
    async def scene(made: Passwords) -> None:
        for stored in (await made.hash(GOOD), None):
            with pytest.raises(WrongPasswordError):
                await made.verify(stored, password)

    hashing(scene)


def test_what_cannot_be_a_password_is_not_hashed() -> None:
    async def scene(made: Passwords) -> None:
        with pytest.raises(InvalidError) as refused:
            await made.hash("\ud800")
        assert refused.value.reason is Reason.PASSWORD_WEAK

    hashing(scene)


def test_nobody_has_no_password() -> None:
    """Also not one whose hash is the dummy's."""

    async def scene(made: Passwords) -> None:
        for password in ("", GOOD):
            with pytest.raises(WrongPasswordError):
                await made.verify(None, password)

    hashing(scene)


@pytest.mark.parametrize(
    "stored",
    ["", "plain", "$argon2id$v=19$m=8,t=1,p=1$", "$2b$12$abcdefghijklmnopqrstuv"],
)
def test_a_stored_hash_of_another_form_is_never_right(stored: str) -> None:
    async def scene(made: Passwords) -> None:
        with pytest.raises(WrongPasswordError):
            await made.verify(stored, GOOD)

    hashing(scene)


def test_a_hash_made_cheaper_by_whoever_writes_the_table_is_not_taken() -> None:
    weak = argon2.PasswordHasher.from_parameters(replace(CHEAP, type=argon2.Type.I)).hash(GOOD)

    async def scene(made: Passwords) -> None:
        with pytest.raises(WrongPasswordError):
            await made.verify(weak, GOOD)

    hashing(scene)


def test_an_older_version_is_taken_and_told() -> None:
    async def scene(made: Passwords) -> None:
        older = argon2.PasswordHasher.from_parameters(OLDER).hash(GOOD)
        await made.verify(older, GOOD)
        assert made.outdated(older)
        assert not made.outdated(await made.hash(GOOD))

    hashing(scene)


def test_unknown_accounts_are_hashed_with_the_parameters_of_known_ones() -> None:
    """Equal work, hence equal time: the same computation runs either way."""
    seen: list[str] = []

    class Watching(argon2.PasswordHasher):
        def verify(self, hash: str, password: str | bytes) -> bool:  # noqa: A002  argon2's name
            seen.append("$".join(str(hash).split("$")[:4]))
            return super().verify(hash, password)

    async def scene(made: Passwords) -> None:
        stored = await made.hash(GOOD)
        made._hasher = Watching.from_parameters(CHEAP)
        for one in (stored, None, "garbage"):
            with pytest.raises(WrongPasswordError):
                await made.verify(one, "wrong")
        assert len(seen) == 3
        assert len(set(seen)) == 1

    hashing(scene)


def test_one_time_passwords_are_random_and_not_shown() -> None:
    async def scene(made: Passwords) -> None:
        found = [await made.one_time() for _ in range(50)]
        assert len({one.text for one in found}) == 50
        for one in found:
            assert isinstance(one, OneTime)
            assert [len(group) for group in one.text.split("-")] == [5, 5, 5, 5]
            assert not set(one.text) & set("ilou")
            assert one.text not in repr(one)
            await made.verify(one.hash, one.text)
            assert normalised(one.text) == one.text

    hashing(scene)


@pytest.mark.parametrize(
    ("cores", "threads"), [(1, 1), (2, 1), (3, 1), (4, 2), (7, 3), (8, 4), (64, 4)]
)
def test_half_of_the_cores_compute_and_step_back(
    monkeypatch: pytest.MonkeyPatch, cores: int, threads: int
) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(cores)))

    async def scene(made: Passwords) -> None:
        at_once: list[int] = []
        busy = threading.Barrier(threads)
        before = os.getpriority(os.PRIO_PROCESS, 0)

        def work() -> tuple[int, int]:
            at_once.append(busy.wait(30))
            own = threading.get_native_id()
            return own, os.getpriority(os.PRIO_PROCESS, own)

        # As many as there are threads meet, twice; with one fewer the barrier would break.
        found = await asyncio.gather(*(made.run(work) for _ in range(2 * threads)))
        assert len({own for own, _ in found}) == threads
        assert {nice for _, nice in found} == {min(19, before + passwords.NICE)}
        assert sorted(at_once) == sorted([*range(threads)] * 2)
        # The loop itself stays where it was.
        assert os.getpriority(os.PRIO_PROCESS, 0) == before

    hashing(scene)


def test_a_flood_is_sent_away_and_the_next_good_call_works(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passwords, "WAITING", 4)

    async def scene(made: Passwords) -> None:
        async def guess() -> type[Exception]:
            try:
                await made.verify(None, "wrong")
            except (WrongPasswordError, ExhaustedError) as error:
                return type(error)
            raise AssertionError

        outcomes = await asyncio.gather(*(guess() for _ in range(30)))
        assert outcomes.count(WrongPasswordError) == passwords.parallel() + 4
        assert outcomes.count(ExhaustedError) == 30 - passwords.parallel() - 4
        await made.verify(await made.hash(GOOD), GOOD)

    hashing(scene)
