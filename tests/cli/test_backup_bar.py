"""The bar tells bytes and time left, begins again with the next time over them, and pulses where there is no end."""

import io
import re

import pytest
from rich.console import Console

from gateway.cli.backup_bar import ByteBar
from gateway.cli.output import Output

MIB = 2**20


@pytest.fixture
def bar(monkeypatch):
    """A bar on a terminal of our own."""
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=80)
    monkeypatch.setattr(Output, "progress", lambda _: console)
    with ByteBar(Output("en"), "backup.making") as made:
        yield made


def shown(bar: ByteBar) -> str:
    """What a person sees now."""
    console = Console(file=io.StringIO(), width=80)
    console.print(bar._progress.get_renderable())
    return console.file.getvalue()


def test_it_shows_bytes_of_all_bytes(bar: ByteBar) -> None:
    bar.update(3 * MIB, 8 * MIB)
    assert "3.0/8.0 MiB" in shown(bar)
    assert Output("en").text("backup.making") in shown(bar)


@pytest.mark.parametrize("text", ["backup.making", "backup.checking", "backup.opening"])
def test_eighty_columns_hold_it_all(bar: ByteBar, monkeypatch, text: str) -> None:
    [task] = bar._progress.tasks
    bar._progress.columns = (Output("en").text(text), *bar._progress.columns[1:])
    monkeypatch.setattr(bar._progress, "get_time", lambda: task.start_time + 5000)
    bar.update(1000 * 1024 * MIB, 1023 * 1024 * MIB)
    bar.update(1001 * 1024 * MIB, 1023 * 1024 * MIB)
    assert "1,001.0/1,023.0 GiB" in shown(bar)
    assert len(shown(bar).rstrip("\n")) <= 80
    assert re.search(r"GiB +[-\d]:[-\d]{2}:[-\d]{2}", shown(bar))


def test_the_next_time_over_begins_anew(bar: ByteBar) -> None:
    bar.update(6 * MIB, 8 * MIB)
    before = bar._progress.tasks[0].start_time
    bar.update(1 * MIB, 4 * MIB)
    [task] = bar._progress.tasks
    assert (task.completed, task.total) == (1 * MIB, 4 * MIB)
    assert task.start_time > before
    assert task.finished_time is None


@pytest.mark.parametrize("total", [0, 2 * MIB, 3 * MIB])
def test_without_a_known_end_it_pulses(bar: ByteBar, total: int) -> None:
    bar.update(1 * MIB, 8 * MIB)
    bar.update(3 * MIB, total)
    [task] = bar._progress.tasks
    assert task.total is None
    assert not task.finished
    assert "3.0/? MiB" in shown(bar)


def test_after_a_pulse_the_next_time_over_has_an_end(bar: ByteBar) -> None:
    bar.update(8 * MIB, 8 * MIB)
    bar.update(1 * MIB, 4 * MIB)
    assert "1.0/4.0 MiB" in shown(bar)
