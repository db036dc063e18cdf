"""The bar of `gateway backup …`: bytes and time left; it pulses where no end is known."""

from typing import Self

from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
)

from gateway.cli.output import Output

# With text, bytes and time it fits into 80 columns.
_BAR_WIDTH = 30


class ByteBar:
    """A progress bar on standard error, of work that goes over its bytes once or several times.

    A number that is smaller than the one before begins the next time over, with a time left of its
    own. After the last byte it pulses: what is proven then has no length.
    """

    def __init__(self, output: Output, msgid: str) -> None:
        """Say what goes on with this text."""
        self._progress = Progress(
            TextColumn(output.text(msgid)),
            BarColumn(bar_width=_BAR_WIDTH),
            DownloadColumn(binary_units=True),
            TimeRemainingColumn(),
            console=output.progress(),
            transient=True,
        )
        self._task = self._progress.add_task("", total=None)
        self._done = 0

    def update(self, done: int, total: int) -> None:
        """Show that `done` of about `total` bytes are through; 0: nobody knows how many."""
        if done < self._done:
            self._progress.reset(self._task)
        self._done = done
        [task] = self._progress.tasks
        task.total = None if done >= total else total  # Progress.update never makes it None again
        self._progress.update(self._task, completed=done)

    def __enter__(self) -> Self:
        """Show it."""
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Take it away."""
        self._progress.stop()
