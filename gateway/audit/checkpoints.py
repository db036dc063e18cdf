"""The newest checkpoint as this process knows it, and how it gets a newer one from the signer."""

from gateway.audit.log import Log, LogError
from gateway.audit.signing import SignerLink, SignerRefusedError, SignerStandsError
from gateway.audit.tree import Tree
from gateway.tlog.checkpoint import Checkpoint
from gateway.tlog.merkle import EMPTY_ROOT, range_root

# Leaf hashes per request: what fits into the signer's longest line.
STEP = 65_536
# The signer moves only while other doors commit; it answers where it stands, so two would do.
_ATTEMPTS = 8


class Checkpoints:
    """Holds the newest checkpoint: `note` is the signed text, `newest` what it says."""

    def __init__(self, link: SignerLink, log: Log) -> None:
        """Know nothing yet; `learn` or `cover` next."""
        self._link = link
        self._log = log
        self.note = ""
        self.newest = Checkpoint("", 0, EMPTY_ROOT)

    async def learn(self, tree: Tree) -> None:
        """Take what the signer signed last.

        Raises LogError when the log is shorter or another one.
        """
        note, signed = await self._link.newest()
        await self._take(tree, note, signed)

    async def cover(self, tree: Tree) -> None:
        """Have the whole tree signed, or more where other doors appended more.

        Raises SignerError when there is no signature now, LogError when the log is not what was
        signed before, StoreAwayError.
        """
        size, root = tree.size, tree.root()
        begin = min(self.newest.size, size)
        for _ in range(_ATTEMPTS):
            if self.note and self.newest.size >= size:
                return
            end = min(size, begin + STEP)
            upto = root if end == size else await self._log.root(end)
            try:
                note, signed = await self._link.sign(
                    begin, end, upto, await self._hashes(tree, begin, end)
                )
            except SignerStandsError as stands:
                await self._catch_up(tree, stands.size)
                size, root, begin = tree.size, tree.root(), stands.size
            except SignerRefusedError as error:
                if error.why == "inconsistent":
                    raise LogError("ROOT_DIFFERS", "the signer signed another log") from error
                raise
            else:
                await self._take(tree, note, signed)
                begin = min(self.newest.size, size)
        if self.newest.size < size:
            raise SignerRefusedError("unsteady")

    async def _take(self, tree: Tree, note: str, signed: Checkpoint) -> None:
        """Keep a checkpoint after comparing its root with our own tree's of that size."""
        if signed.size < self.newest.size:
            return
        await self._catch_up(tree, signed.size)
        try:
            ours = range_root(tree.node, 0, signed.size)
        except LookupError:
            ours = await self._log.root(signed.size)
        if ours != signed.root:
            raise LogError(
                "ROOT_DIFFERS", f"the log of {signed.size} is not the one that was signed"
            )
        self.note, self.newest = note, signed

    async def _catch_up(self, tree: Tree, size: int) -> None:
        """Read what other processes committed until the tree has `size` leaves or more."""
        if tree.size >= size:
            return
        head = await self._log.head()
        if head.size < size:
            raise LogError("LOG_SHORTENED", f"the log has {head.size} entries, {size} were signed")
        begin = tree.size
        if begin < head.size:  # groups of our own were committed meanwhile
            tree.extend(begin, await self._log.hashes(begin, head.size))

    async def _hashes(self, tree: Tree, begin: int, end: int) -> bytes:
        if end == tree.size:
            try:
                return tree.hashes(begin)
            except LookupError:
                pass  # older than the window
        return await self._log.hashes(begin, end)
