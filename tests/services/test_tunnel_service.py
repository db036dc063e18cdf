"""Tunnels over the network: registered, listed, locked and removed by who governs the organisation; each change a leaf."""

from gateway.config import policies
from gateway.v1 import admin_service_pb2 as admin
from tests.coverage.rpcs import Watch, a_tunnel, kept_token, new_id, refused, tunnel
from tests.world import CITY, COUNTY, OTHER_CITY, OTHER_COUNTY, SECOND_COUNTY

RULES = policies.load_tunnel_rules(policies.shipped("policies") / "tunnels.toml")
SERVICE = "/gateway.v1.AdminService/"


async def ask(world, person, name, request):
    token = await kept_token(world, person)
    reply = await world.call(person, SERVICE + name, request, token=token)
    return getattr(admin, f"{name}Response").FromString(reply)


def state(made, wanted, **changes):
    fields = {
        "request_id": new_id(),
        "organisation_code": made.organisation_code,
        "kind": made.kind,
        "peer": made.peer,
        "state": wanted,
        "reason": "key lost",
    }
    return admin.SetTunnelStateRequest(**fields | changes)


def relation(organisation, relative, *, ended=False, **changes):
    fields = {"organisation_code": organisation, "relative_code": relative, "kind": 1} | changes
    return admin.SetRelationRequest(
        request_id=new_id(), relation=admin.Relation(**fields), ended=ended, reason="one line"
    )


def test_a_tunnel_is_registered_locked_and_removed_each_with_its_leaf(province):
    async def work(world):
        person = world.city_admin
        await kept_token(world, person)
        watch = Watch(world)
        wanted = admin.AddTunnelRequest(request_id=new_id(), tunnel=a_tunnel())
        made = (await ask(world, person, "AddTunnel", wanted)).tunnel
        assert (made.state, made.peer) == (admin.Tunnel.STATE_ACTIVE, wanted.tunnel.peer)
        assert (await ask(world, person, "AddTunnel", wanted)).tunnel == made
        for word in ("LOCKED", "ACTIVE", "REMOVED"):
            number = admin.Tunnel.State.Value(f"STATE_{word}")
            found = (await ask(world, person, "SetTunnelState", state(made, number))).tunnel
            assert found.state == number
        error = await refused(
            ask(world, person, "SetTunnelState", state(made, admin.Tunnel.STATE_ACTIVE))
        )
        assert error.reason == "FIELD_INVALID"
        leaves = [leaf for leaf in await watch.leaves() if leaf["kind"].startswith("admin")]
        told = [(leaf["kind"], leaf.get("detail", {}).get("state")) for leaf in leaves]
        assert told[:5] == [
            ("admin.tunnel.add", None),
            ("admin.tunnel.add", None),
            ("admin.tunnel.state", "locked"),
            ("admin.tunnel.state", "active"),
            ("admin.tunnel.state", "removed"),
        ]
        assert leaves[5]["reason"] == "FIELD_INVALID"
        assert leaves[0]["detail"]["target_tunnel"] == made.peer
        assert leaves[0]["detail"]["target_organisation"] == COUNTY

    province.run(work(province.world))


def test_nobody_touches_the_tunnels_of_whom_it_does_not_govern(province):
    async def work(world):
        person = world.city_admin
        await kept_token(world, person)
        other = tunnel(world, organisation=OTHER_COUNTY, address="10.14.9.0/24")
        watch = Watch(world)
        removed = admin.Tunnel.STATE_REMOVED
        calls = [
            ("AddTunnel", admin.AddTunnelRequest(request_id=new_id(), tunnel=a_tunnel(OTHER_CITY))),
            ("AddTunnel", admin.AddTunnelRequest(request_id=new_id(), tunnel=a_tunnel(""))),
            ("SetTunnelState", state(other, removed)),
            ("ListTunnels", admin.ListTunnelsRequest(organisation_code=OTHER_CITY)),
            # Neither may its county be led into another city's tunnel, nor a stranger into its own.
            ("SetRelation", relation(COUNTY, OTHER_CITY)),
            ("SetRelation", relation(OTHER_COUNTY, CITY)),
        ]
        for name, request in calls:
            assert (await refused(ask(world, person, name, request))).reason == "POLICY_DENIED"
        assert [leaf["reason"] for leaf in await watch.leaves()] == ["POLICY_DENIED"] * len(calls)
        # Named as one of its own counties', another's tunnel is not found.
        error = await refused(
            ask(world, person, "SetTunnelState", state(other, removed, organisation_code=COUNTY))
        )
        assert error.reason == "NOT_FOUND"
        error = await refused(
            ask(
                world,
                person,
                "SetTunnelState",
                state(other, removed, kind=0, organisation_code=COUNTY),
            )
        )
        assert error.reason == "NOT_FOUND"
        listed = (await ask(world, person, "ListTunnels", admin.ListTunnelsRequest())).tunnels
        assert other.peer not in {one.peer for one in listed}

    province.run(work(province.world))


def test_tunnels_by_pages(province):
    async def work(world):
        person, peers, token = world.province_admin, [], ""
        for number in range(3):
            tunnel(world, organisation=SECOND_COUNTY, address=f"10.15.{number}.0/24")
        for _ in range(40):
            request = admin.ListTunnelsRequest(page_size=2, page_token=token)
            page = await ask(world, person, "ListTunnels", request)
            assert len(page.tunnels) <= 2
            peers += [one.peer for one in page.tunnels]
            token = page.next_page_token
            if not token:
                break
        assert len(set(peers)) == len(peers) == len(world.sql("SELECT peer FROM gateway.tunnel"))

    province.run(work(province.world))


def test_a_county_uses_its_citys_tunnel_until_that_ends(province):
    async def work(world):
        person = world.city_admin
        await kept_token(world, person)
        watch = Watch(world)
        assert (await ask(world, person, "SetRelation", relation(COUNTY, CITY))).changed
        assert not (await ask(world, person, "SetRelation", relation(COUNTY, CITY))).changed
        ended = relation(COUNTY, CITY, ended=True)
        assert (await ask(world, person, "SetRelation", ended)).changed
        leaf = (await watch.leaves())[0]
        assert leaf["detail"]["relation"] == "uses_tunnel_of"
        assert (leaf["detail"]["target_organisation"], leaf["detail"]["relative_organisation"]) == (
            COUNTY,
            CITY,
        )
        for wrong in (relation(COUNTY, COUNTY), relation(COUNTY, CITY, kind=0)):
            assert (
                await refused(ask(world, person, "SetRelation", wrong))
            ).reason == "FIELD_INVALID"

    province.run(work(province.world))


def test_a_list_tells_how_old_a_key_is_with_whom_it_overlaps_and_whether_it_is_missed(province):
    async def work(world):
        person = world.city_admin
        await kept_token(world, person)
        old = tunnel(world, organisation=SECOND_COUNTY, address="10.16.1.0/24")
        wanted = admin.Tunnel(
            organisation_code=SECOND_COUNTY,
            kind=old.kind,
            peer=a_tunnel().peer,
            addresses=["10.16.2.0/24"],
            followed_peer=old.peer,
        )
        request = admin.AddTunnelRequest(request_id=new_id(), tunnel=wanted)
        new = (await ask(world, person, "AddTunnel", request)).tunnel
        overlapping, install = admin.Tunnel.KEY_STATE_OVERLAPPING, admin.Tunnel.KEY_STEP_INSTALL
        assert (new.key_state, new.key_step, new.following_peer) == (overlapping, install, "")
        assert new.HasField("key_due_time")

        async def told():
            asked = admin.ListTunnelsRequest(organisation_code=SECOND_COUNTY)
            found = (await ask(world, person, "ListTunnels", asked)).tunnels
            [one] = [each for each in found if each.peer == old.peer]
            return one

        one = await told()
        assert (one.key_state, one.key_step, one.following_peer) == (overlapping, install, new.peer)
        assert not one.HasField("retire_time")
        now_us = world.clock.now_us()
        world.sql("UPDATE gateway.tunnel SET first_seen_us = %s WHERE peer = %s", now_us, new.peer)
        one = await told()
        assert one.key_step == admin.Tunnel.KEY_STEP_RETIRE
        hours = (one.retire_time.ToMicroseconds() - now_us) / 3_600_000_000
        assert hours == RULES.overlap_hours
        assert not one.HasField("unused_since_time")
        long_ago = now_us - round((RULES.unused_days + 1) * 86_400_000_000)
        world.sql("UPDATE gateway.tunnel SET changed_us = %s WHERE peer = %s", long_ago, old.peer)
        assert (await told()).unused_since_time.ToMicroseconds() == long_ago
        gone = await ask(world, person, "SetTunnelState", state(old, admin.Tunnel.STATE_REMOVED))
        assert gone.tunnel.key_state == admin.Tunnel.KEY_STATE_ENDED
        assert not gone.tunnel.HasField("key_due_time")

    province.run(work(province.world))
