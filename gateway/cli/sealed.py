"""How break-glass stands, for `gateway status`: loud from its opening until it is sealed anew."""

from collections.abc import Mapping

from gateway.cli.output import Output
from gateway.clock import iso
from gateway.identity import breakglass
from gateway.identity import breakglass_rows as rows
from gateway.identity.rules import DAY_US, BreakGlassLimits
from gateway.registry.organisations import Kind
from gateway.store.database import Transaction

_PROVINCE = "SELECT code FROM gateway.organisation WHERE kind = %s ORDER BY code LIMIT 1"


async def read(tx: Transaction, limits: BreakGlassLimits, now_us: int) -> dict[str, object]:
    """Return state, what is missing, and how long ago the last drill was."""
    row = await tx.fetch_one(_PROVINCE, (int(Kind.PROVINCE),))
    province = "" if row is None else str(row[0])
    sealing = await rows.newest(tx, province)
    drilled_us = await rows.last_drill_us(tx, province)
    days = None if drilled_us is None else (now_us - drilled_us) // DAY_US
    drill: dict[str, object] = {
        "drill_days": days,
        "drill_due": days is None or days >= limits.drill_days,
    }
    if sealing is None:
        return {"state": "never-sealed", "sealed": "", "envelopes": 0, "codes": 0, **drill}
    found = await rows.openings(tx, sealing.id)
    return {
        "state": breakglass.standing(sealing, found, limits, now_us),
        "sealed": iso(sealing.sealed_us),
        "envelopes": await rows.unspent(tx, sealing.id),
        "codes": sum(has for _, has in await rows.officers(tx, sealing.id)),
        **drill,
    }


def lines(output: Output, told: Mapping[str, object]) -> list[str]:
    """Return the same for people."""
    found = [output.text(f"break-glass.state.{told['state']}", **told)]
    if told["state"] == "sealed" and told["codes"] != breakglass.OFFICERS:
        found.append(output.text("break-glass.codes-missing", codes=told["codes"]))
    if told["drill_days"] is not None:
        found.append(output.text("break-glass.drilled", days=told["drill_days"]))
    if told["drill_due"]:
        found.append(output.text("break-glass.drill-due"))
    return found
