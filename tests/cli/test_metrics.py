import json

from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

from gateway.cli import metrics
from gateway.cli.rotation import Report
from gateway.cli.standing import Held, Registered
from gateway.clock import SYSTEM
from gateway.config.home import Home
from gateway.config.policies import load_certificate_rules
from gateway.identity.rotation import STAGES, Judgement, Secret
from gateway.pki import register
from gateway.pki.register import Bearer
from gateway.store.embedded import Cluster
from tests.cli.small_admin import cli


def samples(text):
    return {
        (sample.name, *sorted(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_a_gateway_whose_database_is_away_tells_what_lies_on_disk(founded: Home, capsys) -> None:
    assert cli("metrics", str(founded.root), "--json") == 0
    found = samples(json.loads(capsys.readouterr().out)["metrics"])
    assert found[("gateway_database_up",)] == 0
    assert 0 < found[("gateway_crl_next_update_seconds",)] <= 86_400
    assert found[("gateway_authority_expire_seconds", "root")] > 19 * 365 * 86_400
    assert found[("gateway_server_certificate_expire_seconds",)] > 360 * 86_400
    assert ("gateway_invitations_open",) not in found
    assert found[("gateway_secrets", "issued", "signer-key")] == 1
    assert ("gateway_secrets", "issued", "password") not in found


def test_with_its_database_every_bearer_has_its_gauge(founded: Home, capsys) -> None:
    cluster = Cluster(founded)
    cluster.start(mortal=True)
    try:
        assert cli("metrics", str(founded.root)) == 0
    finally:
        cluster.stop()
    found = samples(capsys.readouterr().out)
    assert found[("gateway_database_up",)] == 1
    bearer = ("gateway_certificate_expire_seconds", "140000", "admin", "officer", "tls")
    assert 13 * 86_400 < found[bearer] <= 14 * 86_400
    assert found[("gateway_lineage_locked",)] == 0
    assert found[("gateway_origin_weak",)] == 1
    assert ("gateway_tunnels_unused",) in found
    assert sum(found["gateway_secrets", *sorted(("password", one))] for one in STAGES) >= 1
    assert 0 <= found[("gateway_secret_age_seconds", "password")] < 86_400
    assert found[("gateway_secrets_late", "database-password")] == 0


def test_the_time_left_grows_negative_past_the_end(founded: Home) -> None:
    now_us = SYSTEM.now_us()
    bearer = Bearer("140105", "sys", "his")
    held = Held(bearer, register.ENCRYPTION, now_us - 5_000_000, 1)
    rules = load_certificate_rules(founded.policies / "certificates.toml")
    gauges = metrics.gauges(founded, rules, Registered((held,), (bearer,), 2), now_us)
    labels = {"organisation": "140105", "kind": "sys", "name": "his", "purpose": "encryption"}
    assert gauges.get_sample_value("gateway_certificate_expire_seconds", labels) == -5
    assert gauges.get_sample_value("gateway_lineage_locked") == 1
    assert gauges.get_sample_value("gateway_invitations_open") == 2


def test_every_kind_of_secret_has_its_age_its_stages_and_how_many_are_late() -> None:
    def one(kind, stage, age_us, *, late):
        return Judgement(Secret(kind, "x", "host"), stage, age_us, "none", None, late, warnings=0)

    judged = (
        one("token-key", "overlapping", 5_000_000, late=False),
        one("token-key", "warned", 9_000_000, late=True),
        one("index-key", "issued", 1_000_000, late=False),
    )
    registry = CollectorRegistry()
    metrics.lives(registry, Report(0, judged, complete=True))

    def value(name, **labels):
        return registry.get_sample_value(f"gateway_{name}", labels)

    assert value("secret_age_seconds", kind="token-key") == 9
    assert value("secrets_late", kind="token-key") == 1
    stages = {stage: value("secrets", kind="token-key", stage=stage) for stage in STAGES}
    assert stages == {"issued": 0, "overlapping": 1, "warned": 1, "restricted": 0, "blocked": 0}
    assert value("secrets_late", kind="index-key") == 0
    assert value("secrets_late", kind="password") is None
