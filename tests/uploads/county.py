"""A county's system for tests: its register, its records, and an intake on a real database with the real recorder."""

import asyncio
import contextlib
import hashlib
import secrets
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from gateway.audit.event import Event
from gateway.clock import civil_day
from gateway.config.home import Home
from gateway.errors import Refusal
from gateway.records.tables import Tables
from gateway.store.database import Database
from gateway.store.seal import BlindIndex, ContentKeys, Opener
from gateway.store.seal_keys import SealRecipients, make_keys
from gateway.uploads.batch import Intake
from gateway.v1.child_pb2 import (
    HOUSEHOLD_CATEGORY_THIS_COUNTY,
    IDENTITY_DOCUMENT_NOT_YET_OBTAINED,
    REGISTER_STATUS_ACTIVE,
    RESIDENCE_TYPE_LOCAL,
    SEX_FEMALE,
    Child,
    Guardian,
)
from gateway.v1.types_pb2 import Address, Date, TraceCode, VaccineLot
from gateway.v1.upload_service_pb2 import BatchReceipt, Item, ItemState, UploadBatchesRequest
from gateway.v1.vaccination_pb2 import Vaccination
from tests.audit.stage import NOW_US, Stage, stage

POLICIES = Path(__file__).parents[2] / "policies"
COUNTY, OTHER_COUNTY = "140105", "140106"
UNIT, SECOND_UNIT, CLOSED_UNIT, FOREIGN_UNIT = (
    "1401050001",
    "1401050002",
    "1401050003",
    "1401060001",
)
TODAY = civil_day(NOW_US)
BORN = TODAY - timedelta(days=400)


@dataclass(frozen=True)
class Unit:
    """A unit as the rules see it."""

    organisation: str
    active_from: date | None = None
    active_until: date | None = None


class Register:
    """The register of two counties; the second may have delegated its uploads."""

    delegates: frozenset[str] = frozenset()

    def uploaders_for(self, organisation: str) -> frozenset[str]:
        return self.delegates if organisation == OTHER_COUNTY else frozenset()

    def __init__(self) -> None:
        self.units = {
            UNIT: Unit(COUNTY),
            SECOND_UNIT: Unit(COUNTY),
            CLOSED_UNIT: Unit(COUNTY, active_until=TODAY - timedelta(days=1000)),
            FOREIGN_UNIT: Unit(OTHER_COUNTY),
        }

    def unit(self, code: str) -> Unit | None:
        return self.units.get(code)

    def is_within(self, unit_code: str, organisation: str) -> bool:
        unit = self.units.get(unit_code)
        return unit is not None and unit.organisation == organisation


def a_date(day: date) -> Date:
    return Date(year=day.year, month=day.month, day=day.day)


def seconds(day: date) -> int:
    """Return ten in the morning of a day in Shanxi."""
    return (day - date(1970, 1, 1)).days * 86400 + 2 * 3600


def a_child(serial: int = 1, *, born: date = BORN, **changes: Any) -> Child:
    """Return a card without fault."""
    child = Child(
        child_code=f"{UNIT}{born.year}{serial:04d}",
        name="王小明",
        sex=SEX_FEMALE,
        birth_date=a_date(born),
        birth_weight_grams=3200,
        document=IDENTITY_DOCUMENT_NOT_YET_OBTAINED,
        guardians=[Guardian(relation=Guardian.RELATION_MOTHER, name="李秀英", phone="13800000000")],
        household=Address(division_code=COUNTY, detail="平阳路街道1号"),
        residence=Address(division_code=COUNTY, detail="平阳路街道1号"),
        household_category=HOUSEHOLD_CATEGORY_THIS_COUNTY,
        residence_type=RESIDENCE_TYPE_LOCAL,
        status=REGISTER_STATUS_ACTIVE,
        file_unit_code=UNIT,
        current_unit_code=UNIT,
        filed_date=a_date(born + timedelta(days=10)),
    )
    for name, value in changes.items():
        _set(child, name, value)
    return child


def a_dose(
    child: Child | str,
    vaccine: str = "0202",
    number: int = 1,
    *,
    day: date = BORN,
    **changes: Any,
) -> Vaccination:
    """Return a dose without fault."""
    code = child if isinstance(child, str) else child.child_code
    dose = Vaccination(
        record_id=str(uuid.uuid4()),
        child_code=code,
        lot=VaccineLot(
            vaccine_code=vaccine,
            manufacturer_code="05",
            lot_number="202401A(1)",
            expiry_date=a_date(day + timedelta(days=300)),
            doses_per_package_count=1,
        ),
        dose_number=number,
        property=Vaccination.PROPERTY_BASIC,
        vaccinated_date=a_date(day),
        trace=TraceCode(
            nmpa_code=f"{secrets.randbelow(10**20):020d}", level=TraceCode.LEVEL_MINIMUM_PACKAGE
        ),
        source=Vaccination.SOURCE_SCANNED,
        site=Vaccination.SITE_RIGHT_UPPER_ARM,
        route=Vaccination.ROUTE_INTRAMUSCULAR,
        dose_amount="0.5ml",
        vaccinator_id=f"{UNIT}-01",
        unit_code=UNIT,
        free_of_charge=True,
        device_id=f"{UNIT}-S1",
        consent_recorded=True,
    )
    dose.entered_time.seconds = seconds(day)
    for name, value in changes.items():
        _set(dose, name, value)
    return dose


def _set(message: Any, name: str, value: Any) -> None:
    """Set a field by its path with __ for dots; None clears it."""
    *path, last = name.split("__")
    for part in path:
        message = getattr(message, part)
    if value is None:
        message.ClearField(last)
    elif isinstance(value, date):
        getattr(message, last).CopyFrom(a_date(value))
    elif hasattr(value, "DESCRIPTOR"):
        getattr(message, last).CopyFrom(value)
    elif isinstance(value, list):
        message.ClearField(last)
        getattr(message, last).extend(value)
    else:
        setattr(message, last, value)


def an_item(record: Any) -> Item:
    """Wrap a record."""
    name = {
        "Child": "child",
        "Vaccination": "vaccination",
        "StockMovement": "stock_movement",
        "StockBalance": "stock_balance",
        "AefiReport": "aefi_report",
        "ChildMerge": "child_merge",
        "Device": "device",
    }[type(record).__name__]
    item = Item()
    getattr(item, name).CopyFrom(record)
    return item


@contextlib.contextmanager
def seal_home() -> Iterator[tuple[SealRecipients, BlindIndex, Opener]]:
    """Give sealing keys, an index key and what opens bodies."""
    import tempfile

    with tempfile.TemporaryDirectory(prefix="gw-") as folder:
        home = Home(Path(folder))
        home.public.mkdir()
        for process in ("intake", "disclosure"):
            home.secrets(process).mkdir(parents=True)  # type: ignore[arg-type]  # two of the processes
        make_keys(home)
        yield (
            SealRecipients.load(home.seal_keys),
            BlindIndex.load(home.secrets("intake")),
            Opener.load(home.secrets("disclosure")),
        )


@dataclass
class County:
    """A sender, and the intake that it sends to."""

    stage: Stage
    intake: Intake
    opener: Opener
    index: BlindIndex
    tables: Tables
    recipients: SealRecipients
    register: Register = field(default_factory=Register)
    sequences: dict[str, int] = field(default_factory=dict)
    organisation: str = COUNTY

    def batch(self, *records: Any, **envelope: Any) -> UploadBatchesRequest:
        """Return a batch of these records in the live lane."""
        unit = envelope.get("unit_code", UNIT)
        self.sequences[unit] = self.sequences.get(unit, 0) + 1
        batch = UploadBatchesRequest(
            request_id=str(uuid.uuid4()),
            unit_code=unit,
            sequence=self.sequences[unit],
            schema_version="2026-1",
            client_version="test/1",
            lane=UploadBatchesRequest.LANE_LIVE,
            items=[an_item(record) for record in records],
        )
        batch.made_time.FromMicroseconds(self.stage.clock.now_us())
        for name, value in envelope.items():
            _set(batch, name, value)
        return batch

    async def send(self, batch: UploadBatchesRequest) -> BatchReceipt:
        """Send a batch and return its receipt; raises the refusal."""
        return await self.send_bytes(batch.SerializeToString())

    async def send_bytes(self, raw: bytes) -> BatchReceipt:
        batch = UploadBatchesRequest.FromString(raw)
        principal: Any = SimpleNamespace(organisation=self.organisation)
        event = Event(kind="upload", door="intake", account="county.upload")
        return BatchReceipt.FromString(await self.intake.accept(principal, event, raw, batch))

    async def upload(self, *records: Any) -> BatchReceipt:
        """Send records as one batch."""
        return await self.send(self.batch(*records))

    async def rows(self, sql: str, *parameters: object) -> list[Any]:
        """Read as the owner, who alone may read everything."""
        owner = await Database.open(self.stage.conninfo("owner"), application="test", size=1)
        try:
            async with owner.transaction() as tx:
                return await tx.fetch(sql, parameters)
        finally:
            await owner.close()

    def tag(self, child: Child) -> bytes:
        return self.index.tag("child", child.child_code)

    async def leaves(self, decision: str = "allow") -> list[bytes]:
        """Return the leaves of uploads in order."""
        rows = await self.rows(
            "SELECT leaf FROM gateway.audit_entry WHERE decision = %s ORDER BY idx", decision
        )
        return [row[0] for row in rows]


@contextlib.asynccontextmanager
async def county(conninfo: Callable[[str], str]) -> AsyncIterator[County]:
    """Give a county and its intake."""
    with seal_home() as (recipients, index, opener):
        async with stage(conninfo) as made:
            tables = Tables.load(POLICIES)
            register = Register()
            keys = ContentKeys(recipients, made.clock)
            intake = Intake(
                made.database, made.recorder, keys, index, tables, lambda: register, made.clock
            )
            yield County(made, intake, opener, index, tables, recipients, register)


def states(receipt: BatchReceipt) -> list[str]:
    """Return the items' states, lower case."""
    return [
        ItemState.Name(item.state).removeprefix("ITEM_STATE_").lower() for item in receipt.items
    ]


def rules(receipt: BatchReceipt, index: int = 0) -> list[str]:
    """Return the rule ids of an item's findings."""
    return [finding.rule_id for finding in receipt.items[index].findings]


async def refused(attempt: Any) -> Refusal:
    """Return the refusal that an attempt raises."""
    try:
        await attempt
    except Refusal as refusal:
        return refusal
    raise AssertionError("it was not refused")


def digest(raw: bytes) -> bytes:
    return hashlib.sha256(raw).digest()


def run(play: Any) -> Any:
    """Run an async play."""
    return asyncio.run(play)
