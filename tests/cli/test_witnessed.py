"""How the witnesses stand, as `gateway status` says it: none, too few, well, behind, or none asked for."""

import asyncio
from collections.abc import Callable
from dataclasses import replace

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from gateway.cli import witnessed
from gateway.cli.metrics import witness_gauges
from gateway.cli.output import Output
from gateway.clock import US_PER_S
from gateway.config.policies import shipped
from gateway.config.witnesses import load_witness_rules
from tests.audit.stage import Stage
from tests.audit.test_vouching import CITIES, cosign, cosigner, enter, newest, play

RULES = load_witness_rules(shipped("policies") / "witnesses.toml")


@pytest.mark.parametrize("case", ["none", "few", "well", "behind", "unasked"])
def test_each_standing_is_told_in_both_languages(conninfo: Callable[[str], str], case: str) -> None:
    async def work(s: Stage, tx) -> None:
        rules = RULES
        if case != "none":
            one = await enter(tx, CITIES[0], cosigner())
            size, note = newest(s)
            await tx.execute(
                "INSERT INTO gateway.offered_checkpoint (size, note, offered_us) VALUES (%s, %s, 1)",
                (size, note),
            )
            await cosign(tx, size, note, one)
        if case in {"few", "unasked"}:
            rules = replace(RULES, organisations=2 if case == "few" else 0)
        if case == "behind":
            await tx.execute("UPDATE gateway.audit_head SET size = size + 100001")
        found = await witnessed.read(tx, rules, s.clock.now_us() + 2 * US_PER_S)
        assert found.state == case
        assert found.late is (case in {"none", "few", "behind"})
        document = found.document()
        assert document["entries"] == found.tail.entries
        for language in ("en", "zh"):
            [line] = witnessed.lines(Output(language), document)
            assert "status." not in line
            assert "{" not in line
        registry = CollectorRegistry()
        witness_gauges(registry, found)
        text = generate_latest(registry).decode()
        assert f"gateway_unwitnessed_entries {float(found.tail.entries)}" in text
        assert f"gateway_unwitnessed_late {float(found.late)}" in text
        await asyncio.sleep(0)

    play(conninfo, work)
