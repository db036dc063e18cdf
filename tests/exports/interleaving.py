"""A ticket whose file is built, its recipient who keeps whatever he is given, and everybody who may stop it: a machine for hypothesis.

After each step he tries to open what he has. He reads it if and only if the log says that the key was given, when nothing stood
against it, and exactly the file's children are charged.
"""

import asyncio
import io
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from gateway.client.tagged import TaggedError, decrypt
from gateway.clock import US_PER_S
from gateway.pki import register
from gateway.services.server import open_door
from gateway.store import roles
from gateway.store.database import Database
from gateway.v1 import admin_service_pb2 as ad
from gateway.v1 import export_service_pb2 as pb
from gateway.v1.upload_service_pb2 import Item
from tests.coverage.rpcs import a_batch
from tests.exports.cast import Cast, about, digest, encrypting, new_id
from tests.exports.fetching import (
    DOOR,
    WIDE,
    Fetched,
    chore,
    drained,
    open_download,
    opened,
    receipt_for,
    release,
    sealed,
)
from tests.exports.planted import plant
from tests.people import issued
from tests.uploads.county import a_child, a_dose
from tests.world import CITY, Held, RefusedError

WINDOW_S, STEP_S = 100, 30
KEYS_MAX = 4
# Which children had which vaccine; a plan that asks for one gets these and no others.
DOSES = {"0202": (1, 2), "0101": (2, 3, 4)}
# What stands against everything while it lasts.
LASTING = {
    "suspended": f"organisation SET state = %s WHERE code = '{CITY}'",
    "approver": "account SET state = %s WHERE name = 'qian'",
}
CERTIFICATES = ("connection", "encryption")
ENDING = {"export.revoke", "export.expire", "export.stop", "export.recall"}
REVOKE = "/gateway.v1.AdminService/RevokeCertificates"


class Recipient:
    """wang and the file's other people; his certificates are renewed when one was revoked.

    `spoils`: the headers that he was given of all files, each with the key that it is for.
    """

    def __init__(self, stands: Held):
        self.world, self.run = stands.world, stands.run
        self.cast = self.run(Cast.open(self.world))
        self.run(self._uploaded())
        self.spoils: list[tuple[bytes, ec.EllipticCurvePrivateKey]] = []
        self.filler = plant(self.cast, 8, **WIDE).ticket_id
        self.renew()

    async def _uploaded(self):
        cards = {n: a_child(n, name=f"王小{'甲乙丙丁'[n - 1]}") for n in range(1, 5)}
        doses = [a_dose(cards[n], code) for code, children in DOSES.items() for n in children]
        items = [Item(child=one) for one in cards.values()]
        items += [Item(vaccination=one) for one in doses]
        county = self.world.county
        batch = a_batch(self.world, county, *items).SerializeToString()
        await self.world.upload(county, await self.world.login(county), batch)
        assert self.world.sql("SELECT count(*) FROM gateway.dose") == [(len(doses),)]

    def renew(self):
        """Give him two certificates that nobody revoked."""
        self.run(self._hang_up())
        own = self.cast["wang"]
        fresh = issued(self.world.authority, own.subject, "recipient")
        self.person, second = replace(fresh, account="wang"), encrypting(self.world, own.subject)
        self.run(self._enter(self.person, register.TLS))
        self.run(self._enter(second, register.ENCRYPTION))
        self.cast.encryption["wang"] = second
        self.cast.tokens.pop("wang", None)
        self.world.clock.turn(seconds=0.3)

    async def _enter(self, person, purpose):
        owner = roles.conninfo(self.world.home, self.world.settings, "owner")
        database = await Database.open(owner, application="test", size=1)
        try:
            async with database.transaction() as tx:
                await register.insert(tx, person.certificate, person.subject, purpose=purpose)
        finally:
            await database.close()

    def spend(self, *, spent):
        """Spend all of the two persons' budgets by another ticket, or forget it."""
        self.world.sql("DELETE FROM gateway.export_debit WHERE ticket_id = %s", self.filler)
        if spent:
            self.world.sql(
                "INSERT INTO gateway.export_debit (ticket_id, child_tag, released_us)"
                " SELECT %s, sha256(int4send(n)), %s::bigint FROM generate_series(1, %s) AS n",
                *(self.filler, self.world.clock.now_us(), self.cast.tickets.rules.quota.person_day),
            )

    async def start_the_door_again(self):
        """What a process has in mind is gone, and its connections with it."""
        await self._hang_up()
        await self.world.doors["disclosure"].stop(1.0)
        self.world.doors["disclosure"] = await open_door(
            self.world.home, "disclosure", self.world.clock
        )

    async def _hang_up(self):
        """End all connections, and what they came by; the next calls make their own."""
        for channel in self.world._channels.values():
            await channel.close()
        self.world._channels.clear()
        for listener in self.world.entrance._listeners:
            listener.close()
        self.world.entrance._listeners.clear()


async def quiet(work):
    """Do it where it is allowed; return answer or refusal."""
    try:
        return await work
    except RefusedError as error:
        if error.code == "INTERNAL":
            raise
        return error


async def late(turns, work):
    """Do it after so many turns of the loop."""
    for _ in range(turns):
        await asyncio.sleep(0)
    return await work


def machine(recipient, seen):
    """The machine of a recipient; `seen` counts what came about."""
    cast, world, run = recipient.cast, recipient.world, recipient.run

    class Interleaved(RuleBasedStateMachine):
        """A ticket whose window ends soon."""

        @initialize(code=st.sampled_from(sorted(DOSES)), steps=st.integers(0, 3))
        def seal(self, code, steps):
            now = datetime.fromtimestamp(world.clock.now_us() // US_PER_S, UTC)
            end = Timestamp()
            end.FromDatetime(now + timedelta(seconds=WINDOW_S))
            connection = digest(recipient.person)
            plan = {"vaccine_codes": [code], "connection_certificate_sha256": connection}
            self.begin = world.size()
            self.ticket = run(sealed(cast, not_after_time=end, **plan))
            sql = "SELECT DISTINCT child_tag FROM gateway.dose WHERE vaccine_code = %s"
            self.children = {bytes(tag) for (tag,) in world.sql(sql, code)}
            self.payload, self.head, self.headers = b"", None, []
            self.against = set()
            for step in (self.fetch_the_rest, self.receive, self.take_the_key)[:steps]:
                step()

        # --- the recipient -------------------------------------------------------------------

        @rule(offset=st.integers(0, 4000), parts=st.integers(0, 12))
        def fetch(self, offset, parts):
            """From anywhere in what he has, and left after so many parts (0: not before the end)."""
            self._fetch(min(offset, len(self.payload)), parts)

        @rule()
        def fetch_the_rest(self):
            self._fetch(len(self.payload), 0)

        def _fetch(self, offset, parts):
            if isinstance(run(quiet(cast.token(recipient.person))), RefusedError):
                assert "connection" in self.against or "suspended" in self.against
                return
            allowed = self._state() in ("sealed", "fetching") and not self._against() - {"spent"}
            assert bool(run(self._fetched(offset, parts)).parts) == allowed

        async def _fetched(self, offset, parts, meanwhile=None):
            """Read so many parts; then leave, or read on after what others do meanwhile."""
            stream, got = (
                await open_download(cast, self.ticket, recipient.person, offset),
                Fetched(),
            )
            if parts:
                got = await drained(stream, parts)
            if meanwhile is not None:
                await meanwhile
            if parts and meanwhile is None:
                stream.cancel()
                await world.guard("disclosure").idle(5)
            else:
                rest = await drained(stream)
                got.payload, got.parts = got.payload + rest.payload, got.parts + rest.parts
                got.head = got.head or rest.head
            after = self.payload[offset + len(got.payload) :]
            self.payload = self.payload[:offset] + got.payload + after
            self.head = got.head or self.head
            return got

        @rule()
        def receive(self):
            self._ask(
                recipient.person,
                "ReceiveExport",
                receipt_for(cast, self.ticket, self.payload, recipient.person),
            )

        @rule()
        def go_all_the_way(self):
            """As an honest recipient does, so that the key is often reached."""
            for step in (self.fetch_the_rest, self.receive, self.take_the_key):
                step()

        @rule()
        def take_the_key(self):
            """Given where nothing stands against it, and else never."""
            allowed, why = self._may_release()
            given = run(self._released())
            assert given == allowed, why
            seen["again"] += given and len(self.headers) > 1

        @rule()
        def take_the_key_twice_at_once(self):
            allowed, why = self._may_release()

            async def both():
                return await asyncio.gather(self._released(), self._released())

            given = run(both())
            assert any(given) == allowed, why
            seen["twice at once"] += all(given)

        @rule()
        def take_the_key_by_another_certificate(self):
            cast.tokens.pop("wang", None)
            assert isinstance(run(quiet(release(cast, self.ticket))), RefusedError)
            cast.tokens.pop("wang", None)

        async def _released(self):
            request = about(pb.ReleaseExportRequest, self.ticket)
            answer = await quiet(cast.ask(recipient.person, "ReleaseExport", request))
            if isinstance(answer, RefusedError):
                return False
            self.headers.append(answer.header)
            return True

        # --- who stops it --------------------------------------------------------------------

        @rule(rpc=st.sampled_from(["RevokeExport", "HoldExport", "RecallExport"]))
        def stop(self, rpc):
            seen[rpc] += self._ask(cast["song"], rpc, self._about(rpc))

        @rule(rpc=st.sampled_from(["RevokeExport", "HoldExport"]), parts=st.integers(1, 3))
        def stop_in_mid_download(self, rpc, parts):
            if isinstance(run(quiet(cast.token(recipient.person))), RefusedError):
                return
            stop = quiet(cast.ask(cast["song"], rpc, self._about(rpc)))
            seen["cut"] += bool(run(self._fetched(0, parts, stop)).parts)

        @rule(rpc=st.sampled_from(["RevokeExport", "HoldExport"]), turns=st.integers(-9, 9))
        def stop_and_release_at_once(self, rpc, turns):
            async def both():
                for one in (cast["song"], recipient.person):
                    await quiet(cast.token(one))
                stop = quiet(cast.ask(cast["song"], rpc, self._about(rpc)))
                return await asyncio.gather(
                    late(max(0, turns), self._released()), late(max(0, -turns), stop)
                )

            seen["stop at once"] += run(both())[0]

        @rule()
        def let_go_on(self):
            for name in ("zhao", "suny"):
                done = self._ask(cast[name], "UnholdExport", self._about("UnholdExport"))
            seen["let go on"] += done

        @precondition(lambda self: not self.against & set(CERTIFICATES))
        @rule(which=st.sampled_from(CERTIFICATES))
        def revoke_a_certificate(self, which):
            one = recipient.person if which == "connection" else cast.encryption["wang"]
            cause = ad.RevokeCertificatesRequest.CAUSE_KEY_COMPROMISE
            request = ad.RevokeCertificatesRequest(
                request_id=new_id(), serial=one.serial, cause=cause, reason="stolen"
            )

            async def revoke():
                admin = world.province_admin
                await world.call(admin, REVOKE, request, token=await cast.token(admin))

            run(revoke())
            self.against.add(which)

        @rule(what=st.sampled_from(sorted(LASTING)))
        def suspend_or_restore(self, what):
            self._set(what, lasting=what not in self.against)

        @rule()
        def spend_or_forget(self):
            recipient.spend(spent="spent" not in self.against)
            self.against ^= {"spent"}

        def _set(self, what, *, lasting):
            world.sql(f"UPDATE gateway.{LASTING[what]}", 2 if lasting else 1)
            (self.against.add if lasting else self.against.discard)(what)
            world.clock.turn(seconds=0.3)
            # The door's own chores judge by what it has in mind.
            run(cast.tickets._current.renew())

        # --- what goes by itself -------------------------------------------------------------

        @rule()
        def time_passes(self):
            world.clock.turn(seconds=STEP_S)
            seen["expired"] += run(chore(cast, "Mover").expire(DOOR)) > 0

        @rule()
        def the_gateway_looks(self):
            seen["stopped by itself"] += run(chore(cast, "Keeper").look(DOOR)) > 0

        @rule()
        def the_door_starts_again(self):
            run(recipient.start_the_door_again())

        # --- what must hold ------------------------------------------------------------------

        @invariant()
        def it_is_readable_with_leaf_and_debit_and_only_so(self):
            if not hasattr(self, "against"):
                return
            number = self.ticket.ticket_id
            given = self._given()
            debits = "SELECT child_tag FROM gateway.export_debit WHERE ticket_id = %s"
            charged = {bytes(tag) for (tag,) in world.sql(debits, number)}
            assert self._readable() == bool(given)
            assert charged == (self.children if given else set())
            assert len(given) == len(self.headers)
            once = [len(self.children), 0, 0, 0]
            assert [one["counts"]["children"] for one in given] == once[: len(given)]
            kept = "SELECT 1 FROM gateway.export_header WHERE ticket_id = %s"
            over = self._state() in ("revoked", "expired", "recalled", "overdue")
            assert not (over and world.sql(kept, number))

        def _readable(self):
            """Try every header that he was ever given, of other files, too: his own open it or nothing does."""
            for header, key in recipient.spoils[-3:]:
                with pytest.raises(TaggedError):
                    b"".join(decrypt(header, io.BytesIO(self.payload), key))
            file = Fetched(head=self.head, payload=self.payload)
            tables = {opened(cast, self.ticket, file, header)[0] for header in self.headers}
            for table in tables:
                tokens = {line.split(b",")[0] for line in table.splitlines()[1:]}
                assert len(tokens) == len(self.children)
            return len(tables) == 1

        def _given(self):
            """The leaves of releases; none lies after one that ended the ticket, or while it was frozen."""
            given, over, frozen = [], False, 0
            for leaf in world.leaves(self.begin):
                known = leaf.get("detail", {}).get("ticket") == self.ticket.ticket_id
                if not known or leaf["decision"] != "allow":
                    continue
                if leaf["kind"] == "export.release":
                    assert (over, frozen) == (False, 0)
                    given.append(leaf)
                over = over or leaf["kind"] in ENDING
                # It takes two to let it go on.
                frozen = {"export.hold": 2, "export.unhold": frozen - 1}.get(leaf["kind"], frozen)
            return given

        def _may_release(self):
            """Whether the key is to be given now, and on what that rests."""
            state, against = self._state(), self._against()
            against -= {"spent"} if state == "released" else set()
            fewer = len(self.headers) < KEYS_MAX
            return state in ("received", "released") and not against and fewer, (state, against)

        def _against(self):
            """What stands against a fetch or a release now."""
            sql = "SELECT held, not_after_us FROM gateway.ticket WHERE ticket_id = %s"
            [(frozen, end_us)] = world.sql(sql, self.ticket.ticket_id)
            late = world.clock.now_us() >= end_us
            return self.against | ({"held"} if frozen else set()) | ({"late"} if late else set())

        def _state(self):
            return cast.state(self.ticket)

        def _about(self, rpc):
            return about(getattr(pb, f"{rpc}Request"), self.ticket)

        def _ask(self, person, rpc, request):
            """Ask for it; return whether it was done."""
            return not isinstance(run(quiet(cast.ask(person, rpc, request))), RefusedError)

        def teardown(self):
            if not hasattr(self, "against"):
                return
            key = cast.encryption["wang"].key
            recipient.spoils += [(header, key) for header in self.headers]
            seen["read" if self.headers else "never read"] += 1
            for what in LASTING:
                self._set(what, lasting=False)
            recipient.spend(spent=False)
            if self.against & set(CERTIFICATES):
                recipient.renew()

    return Interleaved
