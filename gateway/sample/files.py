"""The sample as files: JSON Lines and CSV per record kind, units, and the truth beside them.

| file | what |
|---|---|
| `units.csv`, `.jsonl` | the units, for `gateway unit add` |
| `children`, `vaccinations`, `stock-movements`, `stock-balances`, `aefi-reports` | records |
| `children-late` | cards to be sent last: their first doses came before them |
| `truth.jsonl` | every planted defect: record, rules that must find it, what becomes of it |

Each of the first three rows as `.csv` and as `.jsonl`; the truth speaks of uploads in this order.
"""

import csv
import io
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from google.protobuf.message import Message

from gateway.sample.family import Truth
from gateway.sample.forms import as_json, cells
from gateway.sample.province import Province
from gateway.v1 import types_pb2 as t
from gateway.v1 import upload_service_pb2 as v1

# The files in the order of their upload, with the name of their records in an Item.
UPLOADS = (
    ("children", "child"),
    ("vaccinations", "vaccination"),
    ("children-late", "child"),
    ("stock-movements", "stock_movement"),
    ("stock-balances", "stock_balance"),
    ("aefi-reports", "aefi_report"),
)
TRUTH = "truth.jsonl"


@dataclass(slots=True)
class Records:
    """All records of a sample, by the name of their file, with the truth about them."""

    by_file: dict[str, list[Message]] = field(default_factory=dict)
    truth: list[Truth] = field(default_factory=list)

    def count(self) -> dict[str, int]:
        """Return how many records each file has."""
        return {name: len(records) for name, records in self.by_file.items()}


def collect(province: Province) -> Records:
    """Return the records of a province in the order in which they are to be sent."""
    records = Records()
    files: dict[str, list[Message]] = {name: [] for name, _ in UPLOADS}
    for family in province.families():
        files["children-late" if family.late else "children"].append(family.child)
        if family.second_card is not None:
            files["children"].append(family.second_card)
        files["vaccinations"] += family.doses
        records.truth += family.truth
    files["stock-movements"] += province.movements()
    files["stock-balances"] += province.balances()
    files["aefi-reports"] += province.events
    records.truth += province.event_truth
    records.by_file = files
    return records


def write(folder: Path, records: Records, units: Sequence[t.Unit]) -> list[Path]:
    """Write the files of a sample into a folder, made where absent; return their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    texts = {"units.csv": table(units), "units.jsonl": lines(units)}
    for name, kind in UPLOADS:
        texts[f"{name}.csv"] = table(records.by_file[name])
        texts[f"{name}.jsonl"] = lines(records.by_file[name], kind)
    texts[TRUTH] = "".join(f"{_dump(each.as_json())}\n" for each in records.truth)
    return [_write(folder / name, text) for name, text in texts.items()]


def table(messages: Iterable[Message]) -> str:
    """Return CSV with a header of field paths, in the order in which they first occur."""
    rows = [cells(message) for message in messages]
    header = list(dict.fromkeys(column for row in rows for column in row))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows([row.get(column, "") for column in header] for row in rows)
    return text.getvalue()


def lines(messages: Iterable[Message], kind: str = "") -> str:
    """Return JSON Lines: each message, or with a kind the Item that holds it."""
    objects = (as_json(message) for message in messages)
    if not kind:
        return "".join(f"{_dump(each)}\n" for each in objects)
    name = v1.Item.DESCRIPTOR.fields_by_name[kind].json_name
    return "".join(f"{_dump({name: each})}\n" for each in objects)


def _dump(document: object) -> str:
    return json.dumps(document, ensure_ascii=False, separators=(",", ":"))


def _write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path
