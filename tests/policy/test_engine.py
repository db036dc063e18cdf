"""decide(): default deny, and the five ways in which Cedar alone fails open (reference/exports.md, second study, A)."""

import ast
import json
from dataclasses import replace
from pathlib import Path

import cedarpy
import pytest

from gateway import log
from gateway.config.exports import export_rules
from gateway.config.policies import shipped
from gateway.policy import bundle, cases, facts, ticket_cases
from gateway.policy import engine as engine_module
from gateway.policy.bundle import BundleError
from gateway.policy.engine import DEFAULT_DENY, ERROR, Engine
from gateway.policy.request import Actor, Context, Request, Resource, Ticket
from gateway.policy.ticket_cases import TicketCase
from gateway.v1 import (
    admin_service_pb2,
    audit_service_pb2,
    break_glass_service_pb2,
    export_service_pb2,
    identity_service_pb2,
    options_pb2,
    upload_service_pb2,
)

CEDAR = shipped("policies") / "cedar"
SHIPPED = cases.trusted(CEDAR)
# What the gateway does by itself: no rpc leads there.
OWN_ACTS = {"BuildExport", "KeepExport"}
SCHEMA = (CEDAR / "schema.cedarschema").read_text()
ACTOR = Actor("140105", ("140105", "140100", "140000"), frozenset({"uploader"}), "proven")
UPLOAD = Request(
    "UploadBatches", ACTOR, Resource("UnitRecords", ACTOR.chain, "1401050001"), Context(True, False)
)

COUNTY = {"140000": "", "140100": "140000", "140105": "140100"}
DOWNLOAD = Request(
    "DownloadExport",
    replace(ACTOR, roles=frozenset({"recipient"})),
    Resource(
        "ExportTicket", ACTOR.chain, ticket=ticket_cases.ticket(TicketCase(), "140000", COUNTY)
    ),
    Context(True, False, calling=ticket_cases.calling(TicketCase())),
)


def about(ticket: Ticket | None) -> Request:
    return replace(DOWNLOAD, resource=replace(DOWNLOAD.resource, ticket=ticket))


def policy(name: str, text: str) -> str:
    return f'@id("{name}") @says("x") @says_zh("y") {text}'


def compiled(*policies: str, schema: str = SCHEMA) -> Engine:
    return Engine(bundle.of(schema, (("a.cedar", "\n".join(policies)),)))


def test_a_decision_names_its_policies_and_the_bundle() -> None:
    decision = SHIPPED.decide(UPLOAD)
    assert (decision.allowed, decision.policies, decision.error) == (True, ("P01-upload",), "")
    assert decision.bundle == bundle.load(CEDAR).sha256
    denied = SHIPPED.decide(replace(UPLOAD, context=Context(False, False)))
    assert (denied.allowed, denied.policies) == (False, ("F01-password",))
    nobody = SHIPPED.decide(replace(UPLOAD, actor=replace(ACTOR, roles=frozenset())))
    assert (nobody.allowed, nobody.policies) == (False, (DEFAULT_DENY,))


def test_equal_requests_are_judged_once(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = Engine(SHIPPED.bundle)
    asked = []
    of = facts.of
    monkeypatch.setattr(
        engine_module.facts, "of", lambda request: asked.append(request) or of(request)
    )
    first = engine.decide(UPLOAD)
    assert (
        engine.decide(replace(UPLOAD, actor=replace(ACTOR, roles=frozenset({"uploader"})))) is first
    )
    assert len(asked) == 1
    engine.decide(replace(UPLOAD, resource=Resource("UnitRecords", ACTOR.chain, "1401050002")))
    assert len(asked) == 2


def test_every_rpc_that_needs_a_token_has_its_action() -> None:
    """An rpc without an action would be denied for ever; an action without an rpc is dead text."""
    services = [
        module.DESCRIPTOR.services_by_name
        for module in (
            identity_service_pb2,
            upload_service_pb2,
            audit_service_pb2,
            admin_service_pb2,
            break_glass_service_pb2,
            export_service_pb2,
        )
    ]
    rpcs = {
        method.name
        for found in services
        for service in found.values()
        for method in service.methods
        if (asked := method.GetOptions().Extensions[options_pb2.access]).needs_token
        or asked.token_welcome
    }
    judged = {case.action for case in cases.load(CEDAR).case}
    assert rpcs <= judged
    for action in sorted(judged):
        denied = SHIPPED.judge(
            Request(action, ACTOR, Resource("Register", ACTOR.chain), Context(True, False))
        )
        known = action in rpcs | OWN_ACTS
        assert ("does not exist in the supplied schema" in denied.error) != known, action


# The five ways.


def test_a_forbid_that_errs_denies() -> None:
    """Validation cannot see it: an attribute of an entity that is missing. Cedar itself says Allow."""
    text = [
        policy("P1", "permit (principal, action, resource);"),
        policy(
            "F1",
            'forbid (principal, action == Action::"UploadBatches", resource) when { resource.uploaders.contains(Organisation::"9") };',
        ),
    ]
    engine = compiled(*text)
    asked = facts.of(UPLOAD)
    without = asked.entities.replace('"attrs": {"uploaders": []}', '"attrs": {}')
    assert without != asked.entities
    alone = cedarpy.is_authorized(dict(asked.request), "\n".join(text), without)
    assert alone.decision is cedarpy.Decision.Allow
    assert alone.diagnostics.errors
    # The same through us: the schema refuses the entities; and were they taken, an error denies.
    assert not decided_on(engine, without, with_schema=True).allowed
    errs = decided_on(engine, without, with_schema=False)
    assert (errs.allowed, errs.policies) == (False, (ERROR,))


def test_a_request_that_the_schema_refuses_is_denied_and_logged(
    capsys: pytest.CaptureFixture[str],
) -> None:
    log.configure("test", __import__("sys").stderr)
    for wrong in (
        replace(UPLOAD, action="Drop"),
        replace(UPLOAD, resource=Resource("Nothing", ACTOR.chain)),  # type: ignore[arg-type]
        replace(UPLOAD, resource=Resource("Register", ACTOR.chain)),
        Request("WhoAmI", ACTOR, Resource("Session"), Context(True, False)),
        replace(UPLOAD, context=Context("yes", False)),  # type: ignore[arg-type]
        replace(UPLOAD, actor=replace(ACTOR, origin=7)),  # type: ignore[arg-type]
    ):
        decision = SHIPPED.decide(wrong)
        assert (decision.allowed, decision.policies) == (False, (ERROR,))
        assert decision.error
    assert capsys.readouterr().err.count("policy.error") == 6


def test_no_decision_is_a_denial(monkeypatch: pytest.MonkeyPatch) -> None:
    """The third value of Cedar's Decision is neither Allow nor Deny."""
    engine = compiled(policy("P1", "permit (principal, action, resource);"))
    found = cedarpy.AuthzResult(
        {"decision": "NoDecision", "diagnostics": {"reason": [], "errors": []}, "metrics": {}}
    )
    monkeypatch.setattr(engine_module.cedarpy, "is_authorized", lambda *_: found)
    decision = engine.decide(UPLOAD)
    assert (decision.allowed, decision.policies, decision.error) == (False, (ERROR,), "no decision")


def test_what_cedar_itself_refuses_is_denied(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> cedarpy.AuthzResult:
        raise ValueError("not that")

    engine = compiled(policy("P1", "permit (principal, action, resource);"))
    monkeypatch.setattr(engine_module.cedarpy, "is_authorized", refuse)
    decision = engine.decide(UPLOAD)
    assert (decision.allowed, decision.policies, decision.error) == (False, (ERROR,), "not that")


@pytest.mark.parametrize("sum_", ["3 + 4", "3 - 4", "3 * 4", "-principal.level"])
def test_arithmetic_is_refused_because_it_can_overflow(sum_: str) -> None:
    schema = SCHEMA.replace("origin: String,", "origin: String, level: Long,")
    text = policy(
        "P1",
        "permit (principal is Principal, action, resource) when { principal.level < 5 && principal.level > %s };",
    )
    with pytest.raises(BundleError, match="P1: arithmetic"):
        compiled(text % sum_, schema=schema)
    compiled(text % "4", schema=schema)


def test_an_unvalidated_policy_stops_the_start() -> None:
    good = policy("P1", "permit (principal, action, resource);")
    for wrong, said in (
        (policy("F1", "forbid (principal, action, resource) when { context.vpn };"), "vpn"),
        (policy("F1", 'forbid (principal in Rolle::"admin", action, resource);'), "Rolle"),
        (policy("F1", 'forbid (principal, action == Action::"Uplaod", resource);'), "Uplaod"),
        (policy("F1", "forbid (principal, action, resource"), "not Cedar"),
        (policy("P1", "forbid (principal, action, resource);"), "P1: this @id stands twice"),
        ("permit (principal, action, resource);", "@id, @says"),
        ('@id("F1") @says("x") forbid (principal, action, resource);', "F1: @id, @says"),
        (policy("F1", "forbid (principal == ?principal, action, resource);"), "templates"),
    ):
        with pytest.raises(BundleError, match=said):
            compiled(good, wrong)
    with pytest.raises(BundleError, match="not Cedar"):
        compiled(good, schema="entity")


def test_only_full_decisions_are_asked_for() -> None:
    """`is_authorized_partial` must not decide, and entities are never built without the schema."""
    tree = ast.parse(Path(engine_module.__file__).read_text())
    calls = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
    ]
    names = {call.func.attr: len(call.args) for call in calls}
    assert "is_authorized_partial" not in names
    entities = [
        call for call in calls if ast.unparse(call.func) == "cedarpy.Entities.from_json_str"
    ]
    asked = [call for call in calls if ast.unparse(call.func) == "cedarpy.is_authorized"]
    assert [ast.unparse(call.args[1]) for call in entities] == ["self._schema"]
    assert [ast.unparse(call.args[3]) for call in asked] == ["self._schema"]


def decided_on(engine: Engine, entities: str, *, with_schema: bool):
    """Decide UPLOAD on other entities, as if `facts` had made them."""
    fresh = Engine(engine.bundle)
    real = facts.of(UPLOAD)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engine_module.facts, "of", lambda _: facts.Facts(real.request, entities))
        if not with_schema:
            build = cedarpy.Entities.from_json_str
            patch.setattr(
                cedarpy.Entities, "from_json_str", staticmethod(lambda text, _schema: build(text))
            )
        return fresh.decide(UPLOAD)


# Export tickets.


def test_a_decision_on_a_ticket_is_made_anew_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """It depends on the moment, and a remembered one would outlive its window."""
    engine = Engine(SHIPPED.bundle)
    asked = []
    of = facts.of
    monkeypatch.setattr(
        engine_module.facts, "of", lambda request: asked.append(request) or of(request)
    )
    assert engine.decide(DOWNLOAD).policies == engine.decide(DOWNLOAD).policies == ("P25-download",)
    assert len(asked) == 2


def test_what_the_shipped_file_lists_cedar_lists_too() -> None:
    """A purpose, a basis or a cap of exports.toml that the floor forbids would be refused for ever."""
    plan = export_rules((CEDAR / "exports.toml").read_text()).plan
    known = next(one for one in SHIPPED.document()["staticPolicies"].values()
                 if one["annotations"]["id"] == "F24-purpose")  # fmt: skip
    listed = json.dumps(known["conditions"])
    for word in (*plan.purposes, *plan.legal_bases):
        assert f'"{word}"' in listed, word
    ticket = DOWNLOAD.resource.ticket
    largest = replace(ticket, row_cap=plan.row_cap, child_cap=plan.child_cap)
    assert SHIPPED.judge(about(largest)).allowed


def test_a_varied_engine_shares_nothing_that_decides() -> None:
    document = SHIPPED.document()
    document["staticPolicies"].clear()
    bare = SHIPPED.varied(document)
    assert bare.judge(UPLOAD).policies == (DEFAULT_DENY,)
    assert SHIPPED.judge(UPLOAD).allowed
