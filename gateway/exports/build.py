"""From sealed bodies to an age file: filter, mask and encrypt in one stream, no plaintext on disk.

One snapshot; the caps of the plan are counted while rows are written. What is over a cap, does not
open or cannot be written leaves nothing behind: the file is renamed into its place only when it is
whole. The key of the file is never ours to keep; the header that wraps it is handed back apart.
"""

import asyncio
import contextlib
import hashlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from cryptography.x509 import Certificate
from google.protobuf.message import DecodeError

from gateway.clock import Clock
from gateway.exports import budget, manifest, parquet, payloads, recipient
from gateway.exports.manifest import Content
from gateway.exports.payloads import Payload
from gateway.exports.plan import Plan
from gateway.exports.pull import drawn
from gateway.exports.rows import Csv, Table, Writer
from gateway.exports.ticket import Built, Ticket
from gateway.exports.tokens import TicketTokens
from gateway.policy.fields import UnknownColumnError
from gateway.records.query import Bodies, snapshot
from gateway.records.wanted import Wanted
from gateway.store.database import Database
from gateway.store.export_keys import ExportKeys
from gateway.store.seal_keys import SealError

# So many rows are made into text at a time: some ten milliseconds in which nobody else is served.
ROWS_AT_A_TIME = 500


class BuildError(Exception):
    """The export cannot be made; `cause` is a word for the leaf.

    rows, children: over a cap; body: one does not open; recipient: the certificate is not one to
    encrypt to; column: one may not leave; filter: its dataset has none such; value: one cannot be
    written; format: pyarrow is missing; disk: not written.
    """

    def __init__(self, cause: str) -> None:
        """Make an error."""
        super().__init__(cause)
        self.cause = cause


@dataclass(frozen=True, slots=True)
class Sources:
    """What every build reads from and writes to; `folder` holds the payloads.

    `keys` gives those of that moment; a build goes on with those that it began with.
    """

    database: Database
    bodies: Bodies
    keys: Callable[[], ExportKeys]
    folder: Path
    clock: Clock


@dataclass(frozen=True, slots=True)
class Output:
    """What was built: its figures, the header, and the tags of the children who are in it."""

    built: Built
    header: bytes
    child_tags: frozenset[bytes]


def wanted(plan: Plan, tokens: TicketTokens) -> Wanted:
    """Return what a plan wants; raises ValueError for a filter that its dataset does not have."""
    return Wanted(
        plan.dataset,
        plan.divisions,
        tokens.order_key,
        plan.born_from,
        plan.born_until,
        plan.happened_from,
        plan.happened_until,
        plan.vaccine_codes,
        plan.units,
    )


async def build(
    sources: Sources, ticket: Ticket, certificate: Certificate, *, bundle: str, whole_birth: bool
) -> Output:
    """Build a ticket's export to the recipient's encryption certificate.

    `bundle` is the SHA-256 of the policies that allowed it, `whole_birth` whether its purpose needs
    days of birth. Raises BuildError, StoreError, ExportKeyError; then nothing is left of it.
    """
    payloads.remove(sources.folder, ticket.ticket_id)
    path = payloads.path(sources.folder, ticket.ticket_id)
    try:
        with _told(), Payload(path) as payload:
            export = _Export(ticket, sources, bundle=bundle, whole_birth=whole_birth)
            header = await export.written(certificate, payload.write)
            await asyncio.to_thread(payload.settle)
    except BaseException:
        payloads.remove(sources.folder, ticket.ticket_id)
        raise
    built = Built(
        export.rows,
        len(export.children),
        payload.length,
        payload.sha256,
        hashlib.sha256(export.manifest).hexdigest(),
        budget.digest(export.children),
    )
    return Output(built, header, frozenset(export.children))


class _Export:
    """The plaintext of one export as it is made."""

    def __init__(self, ticket: Ticket, sources: Sources, *, bundle: str, whole_birth: bool) -> None:
        plan, keys = ticket.plan, sources.keys()
        tokens = TicketTokens(keys.tokens, ticket.ticket_id)
        self._ticket, self._plan, self._sources, self._sign = ticket, plan, sources, keys.sign
        try:
            self._wanted = wanted(plan, tokens)
        except ValueError as error:
            raise BuildError("filter") from error
        self._table = Table(plan.dataset, plan.columns, tokens, whole_birth=whole_birth)
        self._writer: Writer
        if plan.format == "parquet":
            self._writer = parquet.Parquet(self._table)
        else:
            self._writer = Csv(self._table, bom=plan.format == "csv-bom")
        self._digest, self._length = hashlib.sha256(), 0
        self.rows = 0
        self.children: set[bytes] = set()
        self.manifest = manifest.manifest(
            ticket.ticket_id,
            plan,
            key_id=keys.key_id,
            bundle=bundle,
            clock=sources.clock,
            sign=keys.sign,
        )

    async def written(self, certificate: Certificate, write: Callable[[bytes], object]) -> bytes:
        """Encrypt all of it, payload to `write`; return the header."""
        async with contextlib.aclosing(self._plaintext()) as plaintext:
            return await drawn(
                plaintext, lambda reader: recipient.encrypt(certificate, reader, write)
            )

    async def _plaintext(self) -> AsyncGenerator[bytes, None]:
        yield self.manifest
        async for piece in self._data():
            self._digest.update(piece)
            self._length += len(piece)
            yield piece
        content = Content(
            self.rows,
            len(self.children),
            self._table.withheld,
            self._length,
            self._digest.hexdigest(),
        )
        yield manifest.trailer(self._ticket.ticket_id, self.manifest, content, sign=self._sign)

    async def _data(self) -> AsyncIterator[bytes]:
        """Yield header, rows and footer of the table."""
        yield self._writer.begin()
        async with self._sources.database.transaction() as tx:
            await snapshot(tx)
            batch: list[list[str]] = []
            async for row in self._sources.bodies.rows(tx, self._wanted):
                batch += self._table.rows(row)
                if row.child_tag:
                    self.children.add(row.child_tag)
                if len(batch) >= ROWS_AT_A_TIME:
                    yield self._writer.write(self._counted(batch))
                    batch = []
            yield self._writer.write(self._counted(batch))
        yield self._writer.end()

    def _counted(self, batch: list[list[str]]) -> list[list[str]]:
        """Return rows that are within the caps; what the plan counted may have grown since."""
        self.rows += len(batch)
        if self.rows > self._plan.row_cap:
            raise BuildError("rows")
        if len(self.children) > self._plan.child_cap:
            raise BuildError("children")
        return batch


@contextlib.contextmanager
def _told() -> Iterator[None]:
    """Tell every reason for which there is no export as a word of BuildError."""
    try:
        yield
    except (SealError, DecodeError) as error:
        raise BuildError("body") from error
    except recipient.RecipientError as error:
        raise BuildError("recipient") from error
    except UnknownColumnError as error:
        raise BuildError("column") from error
    except ImportError as error:
        raise BuildError("format") from error
    except (ValueError, OverflowError) as error:
        raise BuildError("value") from error
    except OSError as error:
        raise BuildError("disk") from error
