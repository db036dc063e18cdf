"""Why a backup cannot be made, is not good, or is not put back: one code per cause."""


class BackupError(Exception):
    """A backup is refused; `code` is one of docs/backups.md, the text for people.

    The text names files and keys by their public names and never quotes what lies in them.
    """

    def __init__(self, code: str, text: str) -> None:
        """Say why."""
        super().__init__(text)
        self.code = code
