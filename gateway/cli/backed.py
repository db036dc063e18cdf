"""How the backups stand, as `gateway status` and `gateway metrics` tell it."""

from collections.abc import Mapping

from gateway.backups import manifest
from gateway.backups.drilled import LastDrill
from gateway.backups.standing import Standing
from gateway.cli.output import Output
from gateway.cli.standing import DAY_US, HOUR_US


def document(found: Standing, now_us: int) -> dict[str, object]:
    """Return it as --json prints it."""
    state: str = found.state
    if not found.places:
        state = f"{state}-unplaced"
    return {
        "state": state,
        "verified": found.kept_us is not None,
        "age_hours": max(0, now_us - found.since_us) // HOUR_US,
        "places": found.places,
    }


def drill_document(found: LastDrill, now_us: int) -> dict[str, object]:
    """Return how drills stand, as --json prints it."""
    return {
        "good": found.good_us is not None,
        "late": found.late,
        "age_days": max(0, now_us - found.since_us) // DAY_US,
        "rto_seconds": found.rto_s,
        "rpo_seconds": found.rpo_s,
    }


def drill_lines(output: Output, told: Mapping[str, object]) -> list[str]:
    """Return the same for people, from the document."""
    said = [output.text(f"status.drill-{'good' if told['good'] else 'never'}", **told)]
    return [*said, output.text("status.drill-late")] if told["late"] else said


def lines(output: Output, told: Mapping[str, object]) -> list[str]:
    """Return the same for people, from the document."""
    verified = "kept" if told["verified"] else "never"
    state = str(told["state"])
    lost = told.get("lost")
    missing = [output.text("status.backup-lost", records=lost)] if lost else []
    said = [output.text(f"status.backup-{verified}", **told)]
    if state.endswith("-unplaced"):
        said.append(output.text("status.backup-unplaced"))
    if not state.startswith("good"):
        said.append(output.text(f"status.backup-{state.removesuffix('-unplaced')}"))
    if told.get("form") == manifest.DUMP:
        said.append(output.text("status.backup-dump"))
    drill = told.get("drill")
    return [*said, *(drill_lines(output, drill) if isinstance(drill, Mapping) else []), *missing]
