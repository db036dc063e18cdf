"""identity.md section 7, attacks 2-28: whoever shows a forged certificate is refused, with one reason and one leaf.

Also where it is past its time, or before it, besides: that alone would be let in to be told so
(tests/attacks/test_defective_certificates.py), a forgery never is.
"""

import asyncio
from typing import Any

import pytest

from gateway.config.settings import Settings
from tests.front.stage import CITY, CITY_AT, Stage, serial, stage
from tests.pki.forgeries import FORGED_DEFECTS, FORGERIES

SHOWN = [forgery for forgery in (*FORGERIES, *FORGED_DEFECTS) if forgery.showable]


def test_each_forgery_leaves_one_leaf_with_its_reason(
    cluster: Any, database_settings: Settings, capfd: pytest.CaptureFixture[str]
) -> None:
    """[P-handshake] All of them against one front: none harms the next."""

    async def attack() -> None:
        async with stage(cluster, database_settings, limits={"new_per_peer_burst": 1000}) as at:
            wrong: list[str] = []
            for count, forgery in enumerate(SHOWN, start=1):
                at.recorder._floods._buckets.clear()
                papers = forgery.make(at.ca)
                assert not await at.served(papers), forgery.name
                leaf = await at.leaf(count)
                if (leaf["kind"], leaf["decision"], leaf["reason"]) != (
                    "tls.refused",
                    "deny",
                    forgery.reason,
                ):
                    wrong.append(f"{forgery.name}: {leaf}")
                _check(leaf, at, forgery.name)
            assert not wrong, "\n".join(wrong)
            assert await at.served(at.good())
            assert len(at.leaves()) == len(SHOWN)

    asyncio.run(attack())
    said = capfd.readouterr()
    assert "PRIVATE KEY" not in said.err + said.out


def _check(leaf: dict[str, Any], at: Stage, name: str) -> None:
    assert leaf["peer"].startswith("127.0.0."), (name, leaf)
    assert leaf["listener"] == f"{CITY_AT}:{at.settings.ports.intake}"
    assert leaf["tunnel"] == f"listen/{CITY_AT}"
    assert leaf["strength"] == "weak"
    assert len(leaf["certificate"]) == 64, name
    # What a certificate says of itself is told only in our own grammar.
    assert set(leaf) <= {
        *(
            "certificate",
            "decision",
            "detail",
            "door",
            "ingress",
            "kind",
            "listener",
            "organisation",
            "peer",
        ),
        *("reason", "serial", "strength", "subject", "time_us", "tunnel", "version"),
    }


def test_what_a_foreign_certificate_claims_is_told_but_not_believed(
    cluster: Any, database_settings: Settings
) -> None:
    async def attack() -> None:
        async with stage(cluster, database_settings) as at:
            papers = SHOWN[0].make(at.ca)
            assert not await at.served(papers)
            leaf = await at.leaf()
            assert leaf["subject"] == str(CITY)
            assert leaf["serial"] == serial(papers)
            assert "organisation" not in leaf

    asyncio.run(attack())
