"""[P1] The demo's export on a served province: every line as promised, each with its leaf and its policies."""

import asyncio

import pytest

from gateway.demo import exports, uploading
from gateway.demo.tried import Tried
from gateway.demo.watch import Watch


@pytest.mark.serial
@pytest.mark.timeout(240)
def test_one_person_alone_gets_nothing_two_let_out_what_they_signed(province, people, tmp_path):
    async def told():
        load = uploading.generate(province, seed=11, children=120)
        await uploading.upload(province, load, lambda _count: None)
        channels = province.auditor.channels()
        try:
            tried = Tried(Watch(channels, province.auditor.session(channels)))
            await exports.tell(province, people, tried, tmp_path)
        finally:
            await channels.close()
        return tried.rows

    rows = {row.tried.removeprefix("demo.row.export-"): row for row in asyncio.run(told())}
    assert {name: row.happened for name, row in rows.items() if not row.kept} == {}
    assert list(rows) == [
        *("once", "twice", "signed", "certificate", "tunnel", "taken", "opened", "revoked"),
        "restored",
    ]
    assert rows["taken"].happened != "no byte"
    assert rows["opened"].happened != "no row"
    assert rows["revoked"].happened.startswith("TICKET_REVOKED: ")
    assert rows["revoked"].happened.endswith(" sealed bytes, 0 readable")
    assert all(row.leaf is not None for row in rows.values())
    named = {name: set(row.policies) for name, row in rows.items()}
    assert "f20-four-eyes" in named["once"]
    assert "f22-no-self-approval" in named["twice"]
    assert named["certificate"] == named["tunnel"] == {"f33-recipient-bound"}
    assert named["signed"] == {"p22-approve"}
    assert named["taken"] == {"p25-download"}
    assert named["opened"] == {"p26-release"}
    assert named["revoked"] == {"p28-stop"}
    # A row that the log contradicts is judged by no policy.
    assert named["restored"] == set()
