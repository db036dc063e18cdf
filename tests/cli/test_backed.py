"""How backups stand is said in words that nobody overlooks, in both languages, and as numbers for a monitor."""

import pytest
from prometheus_client import CollectorRegistry

from gateway.backups.drilled import LastDrill
from gateway.backups.standing import Standing
from gateway.cli import backed, metrics
from gateway.cli.output import Output

HOUR_US = 3_600_000_000
NOW_US = 10**15


def standing(state="good", kept=True, places=2, hours=3) -> Standing:
    since_us = NOW_US - hours * HOUR_US
    return Standing(since_us if kept else None, since_us, state, places, since_us + 26 * HOUR_US)


@pytest.mark.parametrize("lang", ["en", "zh"])
@pytest.mark.parametrize(
    ("found", "says"),
    [
        (standing(), ["kept"]),
        (standing("late", hours=27), ["kept", "late"]),
        (standing("blocking", hours=200), ["kept", "blocking"]),
        (standing("late", kept=False, places=0), ["never", "unplaced", "late"]),
        (standing("blocking", kept=False, places=0, hours=200), ["never", "unplaced", "blocking"]),
    ],
)  # fmt: skip
def test_what_is_said(lang, found, says) -> None:
    output = Output(lang)
    document = backed.document(found, NOW_US)
    expected = [output.text(f"status.backup-{one}", **document) for one in says]
    assert backed.lines(output, document) == expected
    assert all("{" not in one for one in expected)


def test_the_numbers() -> None:
    registry = CollectorRegistry()
    metrics.backup_gauges(registry, standing("blocking", kept=False, places=0, hours=200), NOW_US)
    value = registry.get_sample_value
    assert value("gateway_backup_age_seconds") == 200 * 3600
    assert value("gateway_backup_places") == 0
    assert value("gateway_backup_late") == value("gateway_backup_blocks_exports") == 1


def drill(good=True, late=False, days=3) -> LastDrill:
    since_us = NOW_US - days * 24 * HOUR_US
    return (
        LastDrill(since_us if good else None, since_us, late, 40, 90)
        if good
        else (LastDrill(None, since_us, late))
    )


@pytest.mark.parametrize("lang", ["en", "zh"])
@pytest.mark.parametrize(
    ("found", "says"),
    [
        (drill(), ["good"]),
        (drill(late=True, days=93), ["good", "late"]),
        (drill(good=False), ["never"]),
        (drill(good=False, late=True, days=93), ["never", "late"]),
    ],
)
def test_what_is_said_of_drills(lang, found, says) -> None:
    output = Output(lang)
    document = backed.drill_document(found, NOW_US)
    whole = backed.document(standing(), NOW_US) | {"drill": document}
    expected = [output.text(f"status.drill-{one}", **document) for one in says]
    assert backed.lines(output, whole)[-len(says) :] == expected
    assert all("{" not in one for one in expected)


def test_the_numbers_of_drills() -> None:
    registry = CollectorRegistry()
    metrics.drill_gauges(registry, drill(late=True, days=93), NOW_US)
    value = registry.get_sample_value
    assert value("gateway_backup_drill_age_seconds") == 93 * 86_400
    assert value("gateway_backup_drill_late") == 1
    assert value("gateway_backup_drill_rto_seconds") == 40
    assert value("gateway_backup_drill_rpo_seconds") == 90
    never = CollectorRegistry()
    metrics.drill_gauges(never, drill(good=False), NOW_US)
    assert never.get_sample_value("gateway_backup_drill_rto_seconds") is None


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_what_a_restore_lost_is_said_while_it_is_missing(lang) -> None:
    output = Output(lang)
    document = backed.document(standing(), NOW_US)
    without = backed.lines(output, document | {"lost": 0})
    assert without == backed.lines(output, document)
    said = backed.lines(output, document | {"lost": 7})
    assert said == [*without, output.text("status.backup-lost", records=7)]
    assert "7" in said[-1]


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_that_there_are_dumps_only_is_said(lang) -> None:
    output = Output(lang)
    document = backed.document(standing(), NOW_US)
    without = backed.lines(output, document)
    for form in ("", "base"):
        assert backed.lines(output, document | {"form": form}) == without
    said = backed.lines(output, document | {"form": "dump"})
    assert said == [*without, output.text("status.backup-dump")]
