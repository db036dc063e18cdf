"""`gateway backup losses`: what a restore lost, to the record, and what came back; a row that the log does not know is told."""

import json

from gateway.cli.backup_losses import CHANGED_ALERT
from gateway.clock import SYSTEM
from gateway.config.home import Home
from tests.cli.small_admin import cli
from tests.cli.test_certificate import hosted
from tests.former import KEPT, MANIFEST, a_restore

_LOST = (
    "INSERT INTO gateway.lost_batch (organisation, request_id, statement, restored_us, unit_code, sequence,"
    " leaf_index, received_us, records, unnamed, receipt, presented_us)"
    " VALUES ('140105', gen_random_uuid(), %s, %s, '1401050001', 7, 12, %s, %s, 2, ''::bytea, %s)"
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


def shown(capsys, home: Home, *words: str, lang: str = "en") -> str:
    capsys.readouterr()
    assert cli("backup", "losses", str(home.root), *words, "--lang", lang) == 0
    return capsys.readouterr().out


def test_what_was_lost_is_listed_to_the_record(cluster, database_settings, capsys):
    async def work(host, at) -> None:
        command = ("backup", "losses", str(at.home.root))
        assert (await host.told(*command))["restores"] == []
        now_us = SYSTEM.now_us()
        said = a_restore(at.home, now_us)
        await host.told(*command, "--restore", "2", status=1)
        names = ["a-1", "a-2", "a-3"]
        for restored_us in (said.restored_us, said.restored_us):
            row = (bytes(32), restored_us, now_us - 9, names, now_us)
            at.sql(_LOST, *row)
        refused = await host.told(*command, status=1)
        assert refused["refused"] == "LOSSES_CHANGED"
        last = at.leaves()[-1]
        assert (last["kind"], last["decision"]) == ("backup.losses", "error")
        assert last["detail"] == {"alert": CHANGED_ALERT}
        at.sql(_APPEND, [[_TOLD % now_us]])
        [found] = (await host.told(*command))["restores"]
        assert (found["restore"], found["kept"], found["cause"]) == (1, KEPT, "disk-lost")
        assert found["manifest_sha256"] == MANIFEST
        [county] = found["organisations"]
        assert county == {
            "organisation": "140105", "batches": 2, "records": 10, "recovered": 0, "missing": 10,
        }  # fmt: skip
        assert [one["missing"] for one in found["batches"]] == [names, names]
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

    hosted(cluster, database_settings, capsys, work)
