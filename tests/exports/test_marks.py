"""How far tickets have come outlives the process, never goes back, and is no memory when it is not whole."""

import asyncio

import pytest

from gateway.errors import Reason, Refusal, UnavailableError
from gateway.exports.marks import MARKS_FILE, Marks

A, B = "EX-00000001", "EX-00000002"


def begun(folder, **versions):
    """Marks that know of these tickets, in a file."""
    marks = Marks(folder)
    asyncio.run(marks.put_back({A: 3, **versions}))
    return marks


def test_it_is_kept_and_never_goes_back(tmp_path):
    async def work():
        marks = Marks(tmp_path)
        assert (marks.known, marks.of(A)) == (False, 0)
        await marks.put_back({A: 3})
        for version in (5, 4, 5):
            await marks.keep(A, version)
        await marks.keep(B, 1)
        assert (marks.of(A), marks.of(B)) == (5, 1)

    asyncio.run(work())
    again = Marks(tmp_path)
    assert (again.known, again.of(A), again.of(B)) == (True, 5, 1)
    lines = (tmp_path / MARKS_FILE).read_text().splitlines()
    assert lines == [f"{A} 3", f"{A} 5", f"{B} 1"]
    assert (tmp_path / MARKS_FILE).stat().st_mode & 0o777 == 0o600


def test_moves_at_once_are_all_kept(tmp_path):
    async def work():
        marks = Marks(tmp_path)
        await marks.put_back({})
        await asyncio.gather(*(marks.keep(f"EX-{n:08d}", n) for n in range(1, 41)))

    asyncio.run(work())
    again = Marks(tmp_path)
    assert [again.of(f"EX-{n:08d}") for n in range(1, 41)] == list(range(1, 41))


def test_what_a_crash_left_of_a_line_is_written_over(tmp_path):
    begun(tmp_path)
    with (tmp_path / MARKS_FILE).open("ab") as file:
        file.write(b"EX-000000")
    marks = Marks(tmp_path)
    assert (marks.known, marks.of(A)) == (True, 3)
    asyncio.run(marks.keep(B, 7))
    assert (Marks(tmp_path).of(A), Marks(tmp_path).of(B)) == (3, 7)


@pytest.mark.parametrize("line", ["EX-1 3", "EX-00000001 x", "EX-00000001  3", ""])
def test_a_file_that_is_not_whole_is_no_memory(tmp_path, line):
    begun(tmp_path)
    with (tmp_path / MARKS_FILE).open("a") as file:
        file.write(f"{line}\n{B} 2\n")
    assert not Marks(tmp_path).known


def test_without_a_file_nothing_is_written_until_all_of_it_is(tmp_path):
    """So that a crash in between is no memory either."""
    marks = Marks(tmp_path)
    asyncio.run(marks.keep(A, 2))
    assert (marks.of(A), Marks(tmp_path).known) == (2, False)


def test_no_number_and_no_version_makes_a_line_that_is_none(tmp_path):
    """That would be no memory at the next start, and marks begin anew."""
    marks = begun(tmp_path)
    asyncio.run(marks.keep(B, 10**12))
    for number in ("EX-100000000", "EX-1", f"{A}\n{B}"):
        with pytest.raises(Refusal) as raised:
            asyncio.run(marks.keep(number, 4))
        assert raised.value.reason is Reason.TICKET_TAMPERED
    again = Marks(tmp_path)
    assert (again.known, again.of(A), again.of(B)) == (True, 3, 999_999_999)


def test_a_disk_that_takes_nothing_refuses_and_the_process_remembers(tmp_path):
    marks = begun(tmp_path)
    (tmp_path / MARKS_FILE).unlink()
    with pytest.raises(UnavailableError) as raised:
        asyncio.run(marks.keep(A, 9))
    assert raised.value.reason is Reason.DISK_LOW
    assert marks.of(A) == 9
    with pytest.raises(UnavailableError):
        asyncio.run(Marks(tmp_path / "nowhere").put_back({A: 1}))
