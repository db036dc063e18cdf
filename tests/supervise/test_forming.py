"""A right that goes is told, and no slot stays on another's server that nobody advances and nothing bounds."""

import asyncio
import re
from collections.abc import Iterator
from dataclasses import replace

import psycopg
import pytest

from gateway.backups import formed
from gateway.config import settings
from gateway.config.backups import FILE
from gateway.store import external, wal
from gateway.supervise.forming import Forms
from tests.backups.conftest import stand  # noqa: F401  a fixture
from tests.backups.hosted import Hosted, hosted_once  # noqa: F401  a fixture
from tests.backups.stand import Stand
from tests.supervise.test_backups import Told


def policy(gateway: Stand, **values: str) -> None:
    path = gateway.home.policies / FILE
    text = path.read_text()
    for key, value in values.items():
        text, count = re.subn(rf"(?m)^{key} = .*$", f"{key} = {value}", text)
        assert count == 1
    path.write_text(text)


@pytest.fixture(autouse=True)
def wanted(hosted: Hosted, stand: Stand) -> Iterator[None]:  # noqa: F811
    """Both send to places, of what is offered."""
    before = [(one.home.policies / FILE, (one.home.policies / FILE).read_text()) for one in (hosted, stand)]  # fmt: skip
    for one in (hosted, stand):
        policy(one, folders='["/a", "/b"]', form='"offered"')
    yield
    for path, text in before:
        path.write_text(text)
    superuser(hosted, "ALTER SYSTEM RESET max_slot_wal_keep_size", "SELECT pg_reload_conf()")
    superuser(hosted, "ALTER ROLE gateway_backup REPLICATION")
    superuser(hosted, "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots")


def superuser(hosted: Hosted, *statements: str) -> None:
    with psycopg.connect(hosted.server.superuser(), autocommit=True) as connection:
        for one in statements:
            connection.execute(one)


def watching(gateway: Stand) -> tuple[Forms, Told]:
    told = Told()
    return Forms(gateway.home, settings.load(gateway.home.settings), told), told


def sends(forms: Forms) -> bool:
    return asyncio.run(forms.sends())


def slot(hosted: Hosted) -> bool:
    return external.offers(hosted.home, settings.load(hosted.home.settings)).slot


def keep(hosted: Hosted) -> None:
    with wal.opened(hosted.home, settings.load(hosted.home.settings)) as journal:
        journal.keep()
    assert slot(hosted)


def test_our_own_server_is_sent_from_and_never_asked(stand: Stand) -> None:  # noqa: F811
    forms, told = watching(stand)
    assert sends(forms)
    policy(stand, tail_s="0")
    assert not sends(forms)
    assert told.events == []


@pytest.mark.parametrize("value", [{"form": '"dump"'}, {"tail_s": "0"}, {"folders": "[]"}])
def test_where_policy_ends_it_the_slot_goes(hosted: Hosted, value: dict[str, str]) -> None:
    forms, _ = watching(hosted)
    keep(hosted)
    assert sends(forms)
    assert slot(hosted)
    policy(hosted, **value)
    assert not sends(forms)
    assert not slot(hosted)


def test_a_slot_without_a_bound_goes_and_is_made_no_more(hosted: Hosted) -> None:
    forms, told = watching(hosted)
    keep(hosted)
    # Above what the command that started it says there is nothing but this.
    superuser(hosted, "ALTER SYSTEM SET max_slot_wal_keep_size = -1", "SELECT pg_reload_conf()")
    unbounded(hosted)
    assert not sends(forms)
    assert not slot(hosted)
    assert dict(told.events[-1].detail)["step"] == "dump"


def unbounded(hosted: Hosted) -> None:
    own = settings.load(hosted.home.settings)
    for _ in range(1000):
        if "slot-size" in external.offers(hosted.home, own).lacking:
            return
    pytest.fail("not read anew")


def test_a_right_that_goes_is_told_once_and_what_is_bounded_stays(hosted: Hosted) -> None:
    """It may come back, and the line goes on; the server's operator drops it by the line of `advise`."""
    forms, told = watching(hosted)
    keep(hosted)
    assert sends(forms)
    superuser(hosted, "ALTER ROLE gateway_backup NOREPLICATION")
    assert not sends(forms)
    assert not sends(forms)
    assert slot(hosted)
    [last] = [one for one in told.events if one.decision == "error"]
    detail = {"step": "dump", "alert": formed.ALERT, "cause": "replication"}
    assert (last.kind, dict(last.detail)) == (formed.KIND, detail)
    policy(hosted, form='"dump"')  # it may not be dropped by us now
    assert not sends(forms)
    assert slot(hosted)
    superuser(hosted, "ALTER ROLE gateway_backup REPLICATION")
    policy(hosted, form='"offered"')
    assert sends(forms)
    assert dict(told.events[-1].detail) == {"step": "base"}


def test_another_supervisor_reads_in_the_log_what_was_told(hosted: Hosted) -> None:
    forms, told = watching(hosted)
    sends(forms)
    for one in told.events:
        hosted.run(lambda source, one=one: source.recorder.append(replace(one, door="host")))
    again, silent = watching(hosted)
    assert sends(again)
    assert silent.events == []
