"""The key columns of stored records: all that a rule can know of what was uploaded before.

They are what the store's tables `child`, `dose` and `document` hold and what architecture.md
("Store, keys and what a thief gets")
lets intake read. Tags are 16 bytes; batch_id and item_index say where the sealed body lies.
"""

from datetime import date
from typing import Any, NamedTuple, Protocol

# The batch_id of a record of the batch that is being taken, which has none yet.
HERE = -1


class ChildKey(NamedTuple):
    """A child's card. `mother_tag` is None where no mother is named, and in what is read back.

    No rule asks for it.
    """

    child_tag: bytes
    birth_date: date
    sex: int
    status: int
    status_date: date | None
    revision: int
    unit_code: str
    name_tag: bytes
    mother_tag: bytes | None
    content_tag: bytes
    batch_id: int
    item_index: int


# The first columns of a DoseKey: all that bears on another dose of the same child.
PAST_COLUMNS = 8
# child tag, record id, vaccine code, dose number, day, route, site, content tag; more columns may
# follow.
PastDose = tuple[Any, ...]  # Any: a row as the store gives it, or a DoseKey


class DoseKey(NamedTuple):
    """A dose.

    The first eight columns are a PastDose. `record_id` is the 16 bytes of the UUID or ULID.
    """

    child_tag: bytes
    record_id: bytes
    vaccine_code: str
    dose_number: int
    vaccinated_date: date
    route: int
    site: int
    content_tag: bytes
    unit_code: str
    series: str
    revision: int
    batch_id: int
    item_index: int


class DocumentKey(NamedTuple):
    """A stock document, balance, AEFI report, merge or device."""

    kind: int
    unit_code: str
    document_id: str
    content_tag: bytes
    revision: int
    batch_id: int
    item_index: int


class RegisteredUnit(Protocol):
    """A unit of the register: the days on which it is designated; None: open."""

    @property
    def organisation(self) -> str:
        """The organisation that runs it."""

    @property
    def active_from(self) -> date | None:
        """The first day."""

    @property
    def active_until(self) -> date | None:
        """The last day."""


class Units(Protocol):
    """The register of units as the rules need it."""

    def unit(self, code: str) -> RegisteredUnit | None:
        """Return the unit of this code, or None."""

    def is_within(self, unit_code: str, organisation: str) -> bool:
        """Return whether the unit is the organisation's own or below one of its own."""

    def uploaders_for(self, organisation: str) -> frozenset[str]:
        """Return the organisations that upload for this one."""


class Tagger(Protocol):
    """Makes tags: keyed, truncated, one domain never equal to another's."""

    def tag(self, domain: str, value: str) -> bytes:
        """Return 16 bytes."""
