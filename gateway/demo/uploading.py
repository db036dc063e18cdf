"""The counties' uploads: generated families, and the findings beside the planted truth."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from gateway.client.batches import Envelope, portions
from gateway.client.client import Client
from gateway.client.upload import Upload
from gateway.client.verify import Evidence, Sent
from gateway.demo.province import COUNTIES, Member, Province
from gateway.errors import Refusal
from gateway.sample import tables as sample_tables
from gateway.sample.family import Family
from gateway.sample.province import Province as Sample
from gateway.sample.units import centre_code
from gateway.v1 import upload_service_pb2 as v1

BATCH_ITEMS = 1000
# A record and a rule: what was found, or what was planted.
Pair = tuple[str, str]


@dataclass(slots=True)
class Findings:
    """A journal in memory: every verified receipt, and which rule found something where."""

    told: Callable[[int], None]
    receipts: list[tuple[v1.BatchReceipt, Evidence]] = field(default_factory=list)
    pairs: set[Pair] = field(default_factory=set)
    states: dict[str, int] = field(default_factory=dict)
    refusals: list[Refusal] = field(default_factory=list)

    def answered(self, sent: Sent, receipt: v1.BatchReceipt, evidence: Evidence, /) -> None:
        """Keep a receipt and its findings by record; what is only information is no defect."""
        self.receipts.append((receipt, evidence))
        items = v1.UploadBatchesRequest.FromString(sent.message).items
        for result in receipt.items:
            name = v1.ItemState.Name(result.state).removeprefix("ITEM_STATE_").lower()
            self.states[name] = self.states.get(name, 0) + 1
            record = result.record_id or items[result.index].child.child_code
            self.pairs.update(
                (record, finding.rule_id)
                for finding in result.findings
                if finding.severity != v1.SEVERITY_INFO
            )
        self.told(sent.item_count)

    def refused(self, sent: Sent, refusal: Refusal) -> None:
        """Keep the refusal of a batch."""
        self.refusals.append(refusal)
        self.told(sent.item_count)


@dataclass(slots=True)
class Load:
    """What the counties will send: families by county, and the planted defects."""

    families: dict[str, list[Family]]
    planted: set[Pair]
    children: int
    doses: int

    @property
    def records(self) -> int:
        """How many records there are."""
        return self.children + self.doses


def generate(province: Province, *, seed: int, children: int) -> Load:
    """Return the generated load of the three counties."""
    units = [unit for code in COUNTIES for unit in province.members[code].units]
    tables = sample_tables.load(province.host.home.policies)
    load = Load({code: [] for code in COUNTIES}, set(), 0, 0)
    for family in Sample(tables, units, seed=seed, children=children).families():
        load.families[family.unit.organisation_code].append(family)
        load.children += 1 if family.second_card is None else 2
        load.doses += len(family.doses)
        load.planted.update((one.record_id, rule) for one in family.truth for rule in one.rules)
    return load


def records(families: Sequence[Family]) -> Iterator[v1.Item]:
    """Yield the records of families but for the cards that come late."""
    for family in families:
        if not family.late:
            yield v1.Item(child=family.child)
        for dose in family.doses:
            yield v1.Item(vaccination=dose)
        if family.second_card is not None:
            yield v1.Item(child=family.second_card)


def late_cards(families: Sequence[Family]) -> Iterator[v1.Item]:
    """Yield the cards that come after their doses: within one batch order says nothing."""
    return (v1.Item(child=family.child) for family in families if family.late)


def batches(
    unit_code: str, *parts: Iterator[v1.Item], items_max: int = BATCH_ITEMS
) -> Iterator[Sent]:
    """Yield the records as sealed batches of one unit; no batch holds records of two parts."""
    envelope = Envelope(unit_code, 1, items_max=items_max)
    full = (portion for part in parts for portion in portions(part, items_max))
    for number, portion in enumerate(full):
        yield envelope.seal(portion, number)


async def send(member: Member, waiting: Iterator[Sent], told: Callable[[int], None]) -> Findings:
    """Upload batches as a member and return what was found; raises Refusal, LogError."""
    findings = Findings(told)
    password = member.password
    async with Client(member.profile, password=lambda: password) as client:
        upload = Upload(client, waiting, findings)
        await upload.run()
        await upload.settle()
    return findings


async def upload(province: Province, load: Load, told: Callable[[int], None]) -> list[Findings]:
    """Upload every county's load at the same time."""
    return await asyncio.gather(
        *(
            send(
                province.members[code],
                batches(centre_code(code), records(families), late_cards(families)),
                told,
            )
            for code, families in load.families.items()
        )
    )


async def still_waiting(member: Member) -> int:
    """Return how many doses of a member still wait for their child's card."""
    async with Client(member.profile, password=lambda: member.password) as client:
        waiting, request = 0, v1.ListQuarantineRequest(page_size=1000)
        while True:
            page = await client.call(client.uploads.ListQuarantine, request)
            waiting += sum(item.HasField("deadline_time") for item in page.items)
            if not page.next_page_token:
                return waiting
            request.page_token = page.next_page_token
