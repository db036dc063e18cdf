"""What a restore lost and a county cannot send again is on the record by its receipts, until somebody uploads the file anew."""

from pathlib import Path

import pytest

from gateway.v1.upload_service_pb2 import UploadBatchesRequest
from tests.e2e.losing import OFFICERS, County, Elsewhere, counts, fetch, found, founded, ran, told
from tests.house.tree import ROOT

pytestmark = [pytest.mark.serial, pytest.mark.timeout(600)]
PAGE = (ROOT / "docs/backups.md").read_text(encoding="utf-8")


def losses(home: Path) -> dict:
    """The page's own command, for the one restore that there was."""
    [line] = [one for one in PAGE.splitlines() if one.startswith("    gateway backup losses")]
    [one] = told(line, HOME=home)["restores"]
    return one


def test_what_could_not_be_recovered_is_listed_until_it_is(monkeypatch) -> None:
    monkeypatch.setattr("gateway.demo.host.START_TIMEOUT_S", 240.0)  # a busy machine is no fault
    with founded() as (host, folder):
        province, officers = found(host)
        city, elsewhere = County(folder, province), Elsewhere(folder, host.home)
        home, key = host.home.root, folder / "safe.key"
        sent = city.upload(city.files[0])
        recipient = told(f"    gateway backup recipient new {key}")["recipient"]
        ran(f"    gateway backup recipient add {home} safe {recipient}")
        backup = told(f"    gateway backup create {home} --to {folder / 'a'}")["folder"]
        later = city.upload(*city.files[1:])
        whole = counts(host.home)
        assert later["batches"] > 2

        # Of one batch the bytes are gone at the county, too: a disk was cleaned.
        gone = sorted((city.profile / "sent" / Path(later["receipts"]).stem).glob("*.batch"))[1]
        batch = UploadBatchesRequest.FromString(gone.read_bytes())
        gone.unlink()
        elsewhere.lose(host)
        signed = ""
        for name in OFFICERS:
            mine, approval = elsewhere.of(officers[name]), folder / f"{name}.approval"
            ran(
                f"    gateway backup approve {backup} --because disk-lost --out {approval} -p {mine}"
            )
            signed += f" --approval {approval}"
        ran(
            f"    gateway backup restore {backup} {home} --key {elsewhere.log_key} --identity {key}{signed}"
        )
        elsewhere.give_back()
        host.start()

        # The county does nothing but what it does every day, with another file.
        assert losses(home)["batches"] == []
        assert city.upload(city.files[0]) == sent
        one = losses(home)
        assert (one["restore"], one["cause"]) == (1, "disk-lost")
        [lost] = one["batches"]
        named = [one.vaccination.record_id for one in batch.items if one.vaccination.record_id]
        assert (lost["request_id"], lost["unit"]) == (batch.request_id, batch.unit_code)
        assert 0 < lost["records"] == lost["missing_count"] <= len(batch.items)
        assert set(lost["missing"]) <= set(named)
        assert lost["missing"] or lost["missing_unnamed"]
        assert counts(host.home)["batch"] == whole["batch"] - 1
        said = told(f"    gateway status {home}")["database"]["backups"]
        assert said["lost"] == lost["records"]
        assert f"{lost['records']} records that a restore lost" in ran(
            f"    gateway status {home} --lang en"
        )
        # Once: the next upload presents nothing.
        city.upload(city.files[0])
        told_of = "SELECT count(*) FROM gateway.audit_entry WHERE kind = 'restore.loss' AND decision = 'allow'"
        assert fetch(host.home, told_of) == [(1,)]

        # A person uploads the same files anew: what was missing is made again, under its own id.
        assert city.upload(*city.files[1:])["records"] == later["records"]
        assert counts(host.home) == whole
        one = losses(home)
        assert [each["missing_count"] for each in one["batches"]] == [0]
        [sums] = one["organisations"]
        assert (sums["recovered"], sums["missing"]) == (lost["records"], 0)
        assert told(f"    gateway status {home}")["database"]["backups"]["lost"] == 0
        exported = folder / "export"
        host.run("audit", "export", str(home), str(exported))
        host.run("audit", "verify", str(exported), "--key", str(elsewhere.log_key))
