"""Tells whoever uploads of what a restored gateway lost: sent again, or proven by receipts."""

from gateway.cli.audit_folder import Bar
from gateway.cli.output import Output
from gateway.client.losses import Presented
from gateway.client.sending import Again
from gateway.errors import REASONS, Reason


class Losses:
    """Speaks while an upload is opened; a bar shows how many receipts are through."""

    def __init__(self, output: Output) -> None:
        """Say nothing yet."""
        self._output = output
        self._bar: Bar | None = None

    def again(self, one: Again) -> None:
        """Tell what of one upload was sent again, and what is not held here any more."""
        self._output.say("upload.again", batches=one.batches)
        if one.missing:
            files = ", ".join(one.files)
            self._output.say("upload.missing", batches=one.missing, files=files)

    def moved(self, done: int, total: int) -> None:
        """Show how many of how many receipts were presented."""
        if self._bar is None:
            self._bar = Bar(self._output, "upload.proving").__enter__()
        self._bar.update(done, total)

    def presented(self, found: Presented) -> None:
        """Tell what became of the receipts."""
        if self._bar is not None:
            self._bar.__exit__()
            self._bar = None
        if found.batches:
            self._output.say("upload.proven", batches=found.batches)
        for reason, count in found.refused.items():
            meaning = REASONS[Reason(reason)]
            said = meaning.chinese if self._output.language == "zh" else meaning.english
            self._output.say("upload.unproven", batches=count, reason=reason, meaning=said)
        if found.later:
            self._output.say("upload.proof-later", reason=found.later)
