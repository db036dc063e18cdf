"""Facts: a small slice of entities that always holds the principal and the resource, and no text of a caller's."""

import json
from dataclasses import replace

from gateway.policy import facts, ticket_cases
from gateway.policy.request import Actor, Context, Request, Resource
from gateway.policy.ticket_cases import Person, TicketCase

ACTOR = Actor("140105", ("140105", "140100", "140000"), frozenset({"uploader"}), "weak")
CONTEXT = Context(password_current=True, weak_origin_allowed=False)


def entities(resource: Resource, actor: Actor = ACTOR) -> dict[tuple[str, str], dict]:
    found = json.loads(facts.of(Request("UploadBatches", actor, resource, CONTEXT)).entities)
    keys = [(one["uid"]["type"], one["uid"]["id"]) for one in found]
    assert len(keys) == len(set(keys)), "Cedar refuses an entity that stands twice"
    return dict(zip(keys, found, strict=True))


def test_the_slice_of_an_upload() -> None:
    resource = Resource(
        "UnitRecords", ("140106", "140100", "140000"), "1401060001", frozenset({"140200"})
    )
    found = entities(resource)
    assert set(found) == {
        ("Principal", "140105"), ("UnitRecords", "1401060001"), ("Role", "uploader"),
        ("Organisation", "140105"), ("Organisation", "140106"), ("Organisation", "140100"), ("Organisation", "140000"),
    }  # fmt: skip
    assert found["Principal", "140105"]["attrs"]["origin"] == "weak"
    assert found["UnitRecords", "1401060001"]["parents"] == [
        {"type": "Organisation", "id": "140106"}
    ]
    assert found["UnitRecords", "1401060001"]["attrs"] == {
        "uploaders": [{"__entity": {"type": "Organisation", "id": "140200"}}]
    }
    assert found["Organisation", "140105"]["parents"] == [{"type": "Organisation", "id": "140100"}]
    assert found["Organisation", "140000"]["parents"] == []


def test_what_is_owned_names_its_owner() -> None:
    owner = {"organisation": {"__entity": {"type": "Organisation", "id": "140100"}}}
    found = entities(Resource("Evidence", ("140100", "140000")))["Evidence", "140100"]
    assert (found["attrs"], found["parents"]) == (owner, [])
    found = entities(Resource("Session", ("140100", "140000")))["Session", "140100"]
    assert (found["attrs"], found["parents"]) == (owner, [{"type": "Organisation", "id": "140100"}])
    found = entities(Resource("Checkpoints"))["Checkpoints", ""]
    assert (found["attrs"], found["parents"]) == ({}, [])
    assert entities(Resource("Session"))["Session", ""]["attrs"] == {}


def test_an_unregistered_actor_is_still_an_entity() -> None:
    found = entities(Resource("Checkpoints"), Actor("999999", (), frozenset(), "proven"))
    assert found["Organisation", "999999"]["parents"] == []
    assert ("Principal", "999999") in found


def test_the_request_is_structured_so_that_no_id_breaks_out_of_it() -> None:
    asked = facts.of(
        Request('X"::y', ACTOR, Resource("UnitRecords", (), 'a"\n::b'), CONTEXT)
    ).request
    assert asked["action"] == {"type": "Action", "id": 'X"::y'}
    assert asked["resource"] == {"type": "UnitRecords", "id": 'a"\n::b'}
    assert json.loads(str(asked["context"])) == {
        "passwordCurrent": True,
        "weakOriginAllowed": False,
        "systemInGrace": False,
    }


def test_the_slice_of_a_ticket_holds_every_organisation_that_it_names() -> None:
    case = TicketCase(recipient=Person("140106/wang", ("recipient",)))
    ticket = ticket_cases.ticket(case, "140000", {"140000": "", "140105": "140000"})
    resource = Resource("ExportTicket", ("140105", "140100", "140000"), ticket=ticket)
    context = Context(True, False, calling=ticket_cases.calling(case))
    asked = facts.of(Request("GetExport", ACTOR, resource, context))
    found = {(one["uid"]["type"], one["uid"]["id"]): one for one in json.loads(asked.entities)}
    assert {("Organisation", "140106"), ("Organisation", "140000")} <= found.keys()
    assert found["ExportTicket", "EX-00000001"]["parents"] == [
        {"type": "Organisation", "id": "140105"}
    ]
    assert json.loads(str(asked.request["context"]))["person"] == "140105/wang"
    # Without the circumstances of the call the context is not what the schema asks for.
    bare = facts.of(Request("GetExport", ACTOR, resource, CONTEXT)).request
    assert "person" not in json.loads(str(bare["context"]))


def test_the_words_of_a_leaf_cover_every_fact_of_a_ticket() -> None:
    case = TicketCase()
    ticket = ticket_cases.ticket(case, "140000", {"140000": "", "140100": "140000"})
    asked = Request(
        "GetExport",
        Actor("140100", ("140100", "140000"), frozenset({"requester"}), "proven"),
        Resource("ExportTicket", ("140100", "140000"), ticket=ticket),
        Context(True, False, calling=ticket_cases.calling(case)),
    )
    seen = {facts.words(asked)["facts_sha256"]}
    for one in (
        replace(asked, action="KeepExport"),
        replace(asked, resource=replace(asked.resource, ticket=replace(ticket, held=True))),
        replace(asked, resource=replace(asked.resource, ticket=replace(ticket, planned=None))),
        replace(asked, context=replace(asked.context, password_current=False)),
    ):
        seen.add(facts.words(one)["facts_sha256"])
    assert len(seen) == 5
    assert facts.words(asked) == facts.words(replace(asked))
    assert facts.words(asked)["judged_us"] == ticket_cases.NOW_US
    assert facts.words(replace(asked, context=Context(True, False))) == {}
