"""`gateway backup losses`: what a restore lost, to the record, and what came back; a row that the log does not know is told."""

import asyncio
import json
import re

from gateway.cli.backup_losses import CHANGED_ALERT
from gateway.clock import SYSTEM
from gateway.uploads.lost import Restores
from tests.cli.small_admin import cli
from tests.cli.test_certificate import hosted
from tests.former import KEPT, MANIFEST, Former, a_restore

SAID = {
    "en": ("Restore 1", f"{KEPT} entries", "disk-lost", "came back", "140105", "1401050001"),
    "zh": ("第 1 次恢复", f"保留日志 {KEPT} 条", "已找回", "缺失"),
}
_LOST = (
    "INSERT INTO gateway.lost_batch (organisation, request_id, statement, restored_us, unit_code, sequence,"
    " leaf_index, received_us, records, unnamed, receipt, presented_us)"
    " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)"
)
_BATCH = (
    "INSERT INTO gateway.batch (organisation, request_id, digest, unit_code, sequence, received_us, answer)"
    " SELECT organisation, request_id, statement, unit_code, sequence, presented_us, receipt"
    " FROM gateway.lost_batch LIMIT 1"
)
_TOLD = (
    b'{"counts":{"batches":2},"decision":"allow","kind":"restore.loss","time_us":%d,"version":1}'
)
_APPEND = "SELECT first FROM gateway.audit_append(%s, 0)"


def test_what_was_lost_is_listed_to_the_record(cluster, database_settings, capsys):
    async def work(host, at) -> None:
        command = ("backup", "losses", str(at.home.root))
        assert (await host.told(*command))["restores"] == []
        now_us = SYSTEM.now_us()
        said = a_restore(at.home, now_us)
        await host.told(*command, "--restore", "2", status=1)
        assert said.restored_us == now_us
        names = ["a-1", "a-2", "a-3"]
        log = Former.of(at.home, "140105", "1401050001", now_us)
        for _ in range(2):
            one = Restores.of(at.home).judge(log.receipt(*names, "", ""), "140105")
            cut = (bytes.fromhex(one.cut.statement), one.cut.restored_us)
            place = (one.unit_code, one.sequence, one.index, one.received_us)
            rest = (list(one.records), one.unnamed, one.receipt, now_us)
            at.sql(_LOST, "140105", one.request_id, *cut, *place, *rest)

        async def changed() -> None:
            refused = await host.told(*command, status=1)
            assert refused["refused"] == "LOSSES_CHANGED"
            last = at.leaves()[-1]
            assert (last["kind"], last["decision"]) == ("backup.losses", "error")
            assert last["detail"] == {"alert": CHANGED_ALERT}

        await changed()  # the log knows nothing of them
        at.sql(_APPEND, [[_TOLD % now_us]])
        [found] = (await host.told(*command))["restores"]
        assert (found["restore"], found["kept"], found["cause"]) == (1, KEPT, "disk-lost")
        assert found["manifest_sha256"] == MANIFEST
        [county] = found["organisations"]
        assert county == {
            "organisation": "140105", "batches": 2, "records": 10, "recovered": 0, "missing": 10,
        }  # fmt: skip
        assert [one["missing"] for one in found["batches"]] == [names, names]
        for column, value in (
            ("records", names[:2]),
            ("unnamed", 1),
            ("sequence", 99),
            ("receipt", b"x"),
        ):
            at.sql("CREATE TABLE IF NOT EXISTS kept AS SELECT * FROM gateway.lost_batch")
            at.sql(
                f"UPDATE gateway.lost_batch SET {column} = %s WHERE leaf_index = %s", value, KEPT
            )
            await changed()
            at.sql("DELETE FROM gateway.lost_batch")
            at.sql("INSERT INTO gateway.lost_batch SELECT * FROM kept")
        at.sql(_BATCH)
        [found] = (await host.told(*command, "--restore", "1"))["restores"]
        assert (found["organisations"][0]["recovered"], found["organisations"][0]["missing"]) == (
            5,
            5,
        )
        last = at.leaves()[-1]
        assert (last["kind"], last["decision"]) == ("backup.losses", "allow")
        assert last["counts"] == {"batches": 2, "missing": 5}
        assert "a-1" not in json.dumps(last)

        for lang, words in SAID.items():
            assert await asyncio.to_thread(cli, *command, "--lang", lang) == 0
            shown = capsys.readouterr().out
            assert all(each in shown for each in words), shown
        # What came back is in the sums alone.
        assert len(re.findall("1401050001", shown)) == 1

    hosted(cluster, database_settings, capsys, work)
