"""Witnesses over the network: asked, answered, registered, ended; every line that is not theirs is refused with its leaf."""

import base64
import uuid

import pytest

from gateway.clock import US_PER_S
from gateway.config.policies import shipped
from gateway.config.witnesses import load_witness_rules
from gateway.tlog import policy, witness
from gateway.tlog.checkpoint import Checkpoint
from gateway.tlog.cosignature import ED25519, ML_DSA_44, verified
from gateway.tlog.keys import LogKeys
from gateway.tlog.note import parse_vkey
from gateway.v1 import audit_service_pb2 as audit
from tests.coverage.rpcs import Watch, kept_token, refused
from tests.vouching import a_cosigner, a_line, a_registration, an_end, another_head, enter, offered
from tests.world import CITY, COUNTY, OTHER_COUNTY

SERVICE = "/gateway.v1.AuditService/"
OFFER_S = load_witness_rules(shipped("policies") / "witnesses.toml").offer_s


async def ask(world, person, name, request):
    token = await kept_token(world, person)
    reply = await world.call(person, SERVICE + name, request, token=token)
    return getattr(audit, f"{name}Response").FromString(reply)


async def asked(world, person, old_size=0):
    return await ask(world, person, "GetWitnessing", audit.GetWitnessingRequest(old_size=old_size))


def lines(size, *given):
    return audit.AddCosignaturesRequest(request_id=str(uuid.uuid4()), size=size, cosignatures=given)


def now_s(world):
    return world.clock.now_us() // US_PER_S


def made_s(world, size):
    """When the newest entry under a checkpoint was made."""
    [(time_us,)] = world.sql("SELECT time_us FROM gateway.audit_entry WHERE idx = %s", size - 1)
    return time_us // US_PER_S


def keys(world):
    return LogKeys.of(parse_vkey(world.home.log_key.read_text().strip()))


def test_a_witness_is_asked_and_what_it_answers_confirms_the_log(province):
    async def work(world):
        large, small = enter(world, a_cosigner(ML_DSA_44)), enter(world, a_cosigner())
        world.clock.turn(seconds=OFFER_S)
        await kept_token(world, world.county)
        watch = Watch(world)
        answer = await asked(world, world.county)
        own = await watch.only_leaf()
        request = witness.parse(answer.add_checkpoint)
        found = witness.judge(request, keys(world), None)
        assert own["kind"] == "audit.witnessing"
        assert own["detail"] == {"from_size": 0}
        # The newest there is: this call's own leaf and all before it.
        assert found.size == own["index"] + 1
        given = [a_line(one, request.checkpoint, now_s(world)) for one in (large, small)]
        watch = Watch(world)
        await ask(world, world.county, "AddCosignatures", lines(found.size, *given))
        told = await watch.only_leaf()
        assert told["detail"]["size"] == found.size
        assert told["detail"]["witness_key"] == large.key.key_id.hex()
        confirmed = await asked(world, world.county, found.size)
        rules = policy.parse(confirmed.policy)
        enough, cosigned = rules.judge(confirmed.confirmed)
        assert enough
        assert {large.key, small.key} <= {one.key for one in cosigned}
        assert keys(world).open(confirmed.confirmed).size == found.size

    province.run(work(province.world))


def test_the_offer_stays_for_a_while_and_then_the_next_continues_it(province):
    async def work(world):
        world.clock.turn(seconds=OFFER_S)
        first = witness.parse((await asked(world, world.county)).add_checkpoint)
        same = witness.parse((await asked(world, world.other_county)).add_checkpoint)
        assert same.checkpoint == first.checkpoint
        world.clock.turn(seconds=OFFER_S)
        cosigned = keys(world).open(first.checkpoint)
        again = witness.parse((await asked(world, world.county, cosigned.size)).add_checkpoint)
        assert witness.judge(again, keys(world), cosigned).size > cosigned.size

    province.run(work(province.world))


def test_who_cosigned_more_than_there_is_gets_no_proof(province):
    async def work(world):
        answer = witness.parse((await asked(world, world.county, 10**12)).add_checkpoint)
        assert (answer.old_size, answer.hashes) == (10**12, ())
        error = await refused(asked(world, world.county, 2**63))
        assert error.reason == "FIELD_INVALID"

    province.run(work(province.world))


@pytest.mark.parametrize(
    ("made", "reason"),
    [
        ("unregistered", "WITNESS_UNKNOWN"),
        ("of another organisation", "WITNESS_UNKNOWN"),
        ("ended", "WITNESS_UNKNOWN"),
        ("another head", "COSIGNATURE_INVALID"),
        ("from the future", "COSIGNATURE_INVALID"),
        ("older than its checkpoint", "COSIGNATURE_INVALID"),
        ("changed time", "COSIGNATURE_INVALID"),
        ("two in one", "COSIGNATURE_INVALID"),
        ("no line", "COSIGNATURE_INVALID"),
        ("another size", "NOT_FOUND"),
        ("a size beyond", "NOT_FOUND"),
        ("none", "FIELD_INVALID"),
        ("too many", "FIELD_INVALID"),
    ],
)
def test_a_line_that_is_not_theirs_is_refused_and_nothing_is_kept(province, made, reason):
    async def work(world):
        await asked(world, world.county)
        size, note = offered(world)
        cosigner = a_cosigner()
        if made != "unregistered":
            enter(world, cosigner, OTHER_COUNTY if made == "of another organisation" else COUNTY)
        line = a_line(cosigner, note, now_s(world))
        if made == "ended":
            world.sql("UPDATE gateway.witness SET ended_us = 1 WHERE vkey = %s", str(cosigner.key))
        elif made == "another head":
            line = cosigner.line(another_head(note), now_s(world))
        elif made == "from the future":
            line = a_line(cosigner, note, now_s(world) + 3600)
        elif made == "older than its checkpoint":
            line = a_line(cosigner, note, made_s(world, size) - 301)
        elif made == "changed time":
            head, payload = line.rsplit(" ", 1)
            raw = bytearray(base64.b64decode(payload))
            raw[11] ^= 1
            line = f"{head} {base64.b64encode(raw).decode()}\n"
        elif made == "no line":
            line = "— nonsense\n"
        given = {"two in one": [line * 2], "none": [], "too many": [line] * 5}.get(made, [line])
        sizes = {"another size": size + 10**6, "a size beyond": 2**64 - 1}
        request = lines(sizes.get(made, size), *given)
        watch = Watch(world)
        error = await refused(ask(world, world.county, "AddCosignatures", request))
        assert error.reason == reason
        told = await watch.only_leaf()
        assert (told["decision"], told["reason"]) == ("deny", reason)
        assert (
            world.sql("SELECT 1 FROM gateway.cosignature WHERE vkey = %s", str(cosigner.key)) == []
        )
        good = enter(world, a_cosigner())
        await ask(
            world, world.county, "AddCosignatures", lines(size, a_line(good, note, now_s(world)))
        )

    province.run(work(province.world))


def test_the_times_of_one_witness_follow_its_checkpoints(province):
    """Stated earlier for a larger one, or later for a smaller one: refused, and the next honest line is taken."""

    async def work(world):
        cosigner, sizes = enter(world, a_cosigner()), []
        for _ in range(3):
            world.clock.turn(seconds=OFFER_S)
            await asked(world, world.county)
            sizes.append(offered(world))
        small, middle, large = sizes
        base_s = now_s(world)
        given = [(middle, 0, ""), (large, -1, "refused"), (small, 1, "refused")]
        # Late but true: cosigned before the middle one was, and sent after.
        given += [(small, -1, ""), (large, 0, "")]
        for (size, note), later_s, verdict in given:
            line = a_line(cosigner, note, base_s + later_s)
            watch = Watch(world)
            call = ask(world, world.county, "AddCosignatures", lines(size, line))
            if verdict:
                assert (await refused(call)).reason == "COSIGNATURE_INVALID"
            else:
                await call
            leaf = await watch.only_leaf()
            assert leaf["decision"] == ("deny" if verdict else "allow")
        kept = world.sql(
            "SELECT size FROM gateway.cosignature WHERE vkey = %s ORDER BY size", str(cosigner.key)
        )
        assert kept == [(small[0],), (middle[0],), (large[0],)]

    province.run(work(province.world))


def test_a_replayed_line_changes_nothing(province):
    async def work(world):
        await asked(world, world.county)
        size, note = offered(world)
        cosigner = enter(world, a_cosigner())
        first = a_line(cosigner, note, now_s(world) - 5)
        for line in (first, first, a_line(cosigner, note, now_s(world))):
            await ask(world, world.county, "AddCosignatures", lines(size, line))
        kept = world.sql("SELECT line FROM gateway.cosignature WHERE vkey = %s", str(cosigner.key))
        assert kept == [(first,)]

    province.run(work(province.world))


def test_a_witness_is_registered_once_and_ended_for_ever(province):
    async def work(world):
        person = world.province_admin
        await kept_token(world, person)
        request = a_registration()
        watch = Watch(world)
        await ask(world, person, "RegisterWitness", request)
        told = await watch.only_leaf()
        assert told["kind"] == "witness.register"
        key_id = request.vkey.split("+")[1]
        assert told["detail"]["witness_key"] == key_id
        assert told["detail"]["target_organisation"] == COUNTY
        await ask(world, person, "RegisterWitness", request)
        moved = audit.RegisterWitnessRequest(
            request_id=str(uuid.uuid4()), organisation_code=CITY, vkey=request.vkey
        )
        assert (
            await refused(ask(world, person, "RegisterWitness", moved))
        ).reason == "ALREADY_EXISTS"
        ended = audit.EndWitnessRequest(
            request_id=str(uuid.uuid4()), organisation_code=COUNTY, key_id=key_id, reason="lost"
        )
        for _ in range(2):
            await ask(world, person, "EndWitness", ended)
        moved.organisation_code, moved.request_id = COUNTY, str(uuid.uuid4())
        assert (
            await refused(ask(world, person, "RegisterWitness", moved))
        ).reason == "ALREADY_EXISTS"

    province.run(work(province.world))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"vkey": "nonsense"}, "FIELD_INVALID"),
        ({"vkey": "log"}, "FIELD_INVALID"),
        ({"vkey": "long"}, "FIELD_INVALID"),
        ({"organisation_code": "999999"}, "POLICY_DENIED"),
    ],
)
def test_what_is_no_witness_is_not_registered(province, change, reason):
    async def work(world):
        request = a_registration()
        for name, value in change.items():
            named = {"log": world.home.log_key.read_text().strip()}
            named["long"] = str(type(a_cosigner().key)("x" * 121, ED25519, bytes(32)))
            setattr(request, name, named.get(value, value))
        error = await refused(ask(world, world.province_admin, "RegisterWitness", request))
        assert error.reason == reason

    province.run(work(province.world))


def test_nobody_registers_or_ends_a_witness_of_an_organisation_beside(province):
    async def work(world):
        request = a_registration()
        request.organisation_code = OTHER_COUNTY
        error = await refused(ask(world, world.city_admin, "RegisterWitness", request))
        assert error.reason == "POLICY_DENIED"
        ended = an_end(world)
        ended.organisation_code = OTHER_COUNTY
        assert (
            await refused(ask(world, world.city_admin, "EndWitness", ended))
        ).reason == "POLICY_DENIED"
        ended.organisation_code, ended.key_id = CITY, ended.key_id
        assert (
            await refused(ask(world, world.city_admin, "EndWitness", ended))
        ).reason == "NOT_FOUND"

    province.run(work(province.world))


def test_a_confirmed_note_is_read_by_whoever_knows_the_witness(province):
    async def work(world):
        await asked(world, world.county)
        size, note = offered(world)
        cosigner = enter(world, a_cosigner())
        await ask(
            world,
            world.county,
            "AddCosignatures",
            lines(size, a_line(cosigner, note, now_s(world))),
        )
        confirmed = (await asked(world, world.county)).confirmed
        assert cosigner.key in {one.key for one in verified(confirmed, [cosigner.key])}
        assert isinstance(keys(world).open(confirmed), Checkpoint)

    province.run(work(province.world))
