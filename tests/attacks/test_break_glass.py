"""Attacks 116, 117 and 118 of reference/identity.md, and their kin: break-glass by one person, for data, for longer; each by the
rule of attack tests (`tried`), at doors that serve.
"""

import io

import pytest

from gateway import log
from gateway.config.home import LISTENERS
from gateway.services import contract
from gateway.v1 import admin_service_pb2 as admin
from gateway.v1 import break_glass_service_pb2 as pb
from tests.attacks.tried import tried
from tests.coverage.rpcs import (
    WHOAMI,
    WITHOUT_TOKEN,
    Watch,
    case_of,
    new_id,
    refused,
    send,
    tunnel,
)
from tests.exports.cast import Cast
from tests.sealed import OFFICERS, ask, officer, seal
from tests.world import COUNTY, OTHER_CITY, PROVINCE, RefusedError, held

ADMIN = "/gateway.v1.AdminService/"
# All that a session of break-glass is answered to.
ACTS = {
    "UnlockAccount",
    "ResetPassword",
    "RevokeCertificates",
    "InviteCertificate",
    "SetTunnelState",
}
OWN = {
    "CloseBreakGlass",
    "RefreshToken",
    "WhoAmI",
    "GetCheckpoint",
    "GetConsistencyProof",
    "Logout",
}
MINUTE_S = 60


@pytest.fixture(scope="module")
def province(cluster):
    with held(cluster) as stands:
        stands.run(stands.world.keep_lists())
        stands.world.cast = stands.run(Cast.open(stands.world))
        yield stands


@pytest.fixture(autouse=True)
def process_log(monkeypatch):
    stream = io.StringIO()
    monkeypatch.setattr(log._LINES, "stream", stream)
    return stream


@pytest.fixture(autouse=True)
def fresh(province):
    """Nobody has guessed yet, and every bucket is full."""
    world = province.world
    world.sql("DELETE FROM gateway.throttle")
    for door in LISTENERS:
        limits = world.guard(door)._checks.limits
        limits._accounts._levels.clear()
        limits._connections._levels.clear()


def run(province, work):
    province.run(work(province.world))


def entering(opening):
    return pb.EnterBreakGlassRequest(request_id=new_id(), opening_id=opening)


def critical(leaf, alert="break-glass"):
    assert leaf["detail"]["alert"] == alert, leaf


async def unlock(world, token, person):
    request = admin.UnlockAccountRequest(
        request_id=new_id(), organisation_code=COUNTY, account_name="uploader", reason="locked"
    )
    await world.call(person, ADMIN + "UnlockAccount", request, token=token)


def test_116_one_officer_alone_opens_nothing(province, process_log):
    async def work(world):
        sealed = await seal(world)
        opening = await sealed.open()
        for name in (None, OFFICERS[0]):
            if name:
                assert (await sealed.confirm(opening, name)).confirmed_count == 1
            _, leaf = await tried(
                world,
                ask(world, sealed.opener, "EnterBreakGlass", entering(opening)),
                "BREAK_GLASS_WAITING",
                secrets=sealed.secrets,
                process_log=process_log,
                then=lambda: world.login(world.county),
            )
            critical(leaf)
        assert (await sealed.confirm(opening, OFFICERS[1])).HasField("open_until_time")
        await unlock(world, await sealed.enter(opening), sealed.opener)

    run(province, work)


def test_116_the_same_officer_twice_is_one(province, process_log):
    async def work(world):
        sealed = await seal(world)
        opening = await sealed.open()
        await sealed.confirm(opening, OFFICERS[0])
        _, leaf = await tried(
            world,
            sealed.confirm(opening, OFFICERS[0]),
            "BREAK_GLASS_SAME_PERSON",
            secrets=sealed.secrets,
            process_log=process_log,
            then=lambda: sealed.confirm(opening, OFFICERS[2]),
        )
        critical(leaf)
        await sealed.enter(opening)

    run(province, work)


def test_116_who_opens_does_not_confirm(province, process_log):
    """One of the three opens: the two others must confirm."""

    async def work(world):
        sealed = await seal(world, opener=OFFICERS[0])
        opening = await sealed.open()
        await sealed.confirm(opening, OFFICERS[1])
        _, leaf = await tried(
            world,
            sealed.confirm(opening, OFFICERS[0]),
            "BREAK_GLASS_SAME_PERSON",
            secrets=sealed.secrets,
            process_log=process_log,
            then=lambda: sealed.confirm(opening, OFFICERS[2]),
        )
        critical(leaf)
        await sealed.enter(opening)

    run(province, work)


@pytest.mark.parametrize("whose", ["wrong", "another's", "nobody's"])
def test_116_a_code_that_is_not_ones_own_is_counted_and_slowed(province, process_log, whose):
    async def work(world):
        sealed = await seal(world)
        opening = await sealed.open()
        guesser = sealed.opener if whose == "nobody's" else world.people[PROVINCE, OFFICERS[0]]
        given = "aaaaa-bbbbb-ccccc-ddddd" if whose == "wrong" else sealed.codes[OFFICERS[1]]

        def guess():
            request = sealed.confirming(opening, OFFICERS[0])
            request.secret_code = given
            return ask(world, guesser, "ConfirmBreakGlass", request)

        for _ in range(5):
            _, leaf = await tried(
                world,
                guess(),
                "BREAK_GLASS_FAILED",
                secrets=[*sealed.secrets, given],
                process_log=process_log,
                then=lambda: world.login(world.county),
            )
            critical(leaf)
        await tried(
            world,
            guess(),
            "LOGIN_THROTTLED",
            secrets=sealed.secrets,
            process_log=process_log,
            # Nobody else is slowed by it.
            then=lambda: sealed.confirm(opening, OFFICERS[1]),
        )
        world.clock.turn(seconds=61)
        await sealed.confirm(opening, OFFICERS[0 if guesser is not sealed.opener else 2])
        await sealed.enter(opening)

    run(province, work)


def test_a_wrong_credential_opens_nothing_and_spends_nothing(province, process_log):
    async def work(world):
        sealed = await seal(world)
        request = sealed.asking()
        request.sealed_credential = "0000-" * 7 + "0000"
        _, leaf = await tried(
            world,
            ask(world, sealed.opener, "OpenBreakGlass", request),
            "BREAK_GLASS_FAILED",
            secrets=[*sealed.secrets, request.sealed_credential],
            process_log=process_log,
            then=sealed.open,
        )
        critical(leaf)
        assert (
            world.sql("SELECT failures FROM gateway.throttle WHERE account = 'break-glass'") == []
        )

    run(province, work)


def test_an_envelope_opens_once(province, process_log):
    """A repeat of the very request is answered again; another request with what lay in it is not."""

    async def work(world):
        sealed = await seal(world)
        request = sealed.asking()
        first = await ask(world, sealed.opener, "OpenBreakGlass", request)
        assert await ask(world, sealed.opener, "OpenBreakGlass", request) == first
        thief = await officer(world, "thief", "requester")
        for person in (sealed.opener, thief):
            _, leaf = await tried(
                world,
                sealed.open(by=person),
                "BREAK_GLASS_SPENT",
                secrets=sealed.secrets,
                process_log=process_log,
                then=lambda: world.login(world.county),
            )
            critical(leaf)
        # The same id does not give him the opener's opening.
        error = await refused(ask(world, thief, "OpenBreakGlass", request))
        assert error.reason == "BREAK_GLASS_SPENT"
        assert await sealed.open(2) != first.opening_id

    run(province, work)


def test_a_confirmation_counts_for_one_opening(province, process_log):
    """Replayed, and with the opening's id exchanged for another's."""

    async def work(world):
        sealed = await seal(world)
        first, second = await sealed.open(1), await sealed.open(2)
        confirmation = sealed.confirming(first, OFFICERS[0])
        confirmer = world.people[PROVINCE, OFFICERS[0]]
        await ask(world, confirmer, "ConfirmBreakGlass", confirmation)
        _, leaf = await tried(
            world,
            ask(world, confirmer, "ConfirmBreakGlass", confirmation),
            "BREAK_GLASS_SAME_PERSON",
            secrets=sealed.secrets,
            process_log=process_log,
            then=lambda: sealed.confirm(second, OFFICERS[1]),
        )
        assert leaf["detail"]["opening"] == first
        # Whoever opened holds what an officer sent: it is not his to send.
        confirmation.opening_id = second
        await tried(
            world,
            ask(world, sealed.opener, "ConfirmBreakGlass", confirmation),
            "BREAK_GLASS_FAILED",
            secrets=sealed.secrets,
            process_log=process_log,
            then=lambda: world.login(world.county),
        )
        for opening in (first, second):
            error = await refused(ask(world, sealed.opener, "EnterBreakGlass", entering(opening)))
            assert error.reason == "BREAK_GLASS_WAITING"
        await sealed.confirm(second, OFFICERS[2])
        # One sealing is opened once: the other opening is over with it.
        error = await refused(sealed.confirm(first, OFFICERS[1]))
        assert error.reason == "BREAK_GLASS_OVER"
        await sealed.enter(second)

    run(province, work)


def test_nobody_else_enters(province, process_log):
    async def work(world):
        sealed = await seal(world)
        opening = await sealed.open()
        for name in OFFICERS[:2]:
            await sealed.confirm(opening, name)
        for other in (world.people[PROVINCE, OFFICERS[0]], world.province_admin, world.city_admin):
            _, leaf = await tried(
                world,
                ask(world, other, "EnterBreakGlass", entering(opening)),
                "NOT_FOUND",
                secrets=sealed.secrets,
                process_log=process_log,
                then=lambda: world.login(world.county),
            )
            critical(leaf)
        await sealed.enter(opening)

    run(province, work)


@pytest.mark.parametrize("who", ["city_admin", "city", "county"])
def test_only_an_officer_of_the_province_opens(province, process_log, who):
    async def work(world):
        sealed = await seal(world)
        _, leaf = await tried(
            world,
            sealed.open(by=getattr(world, who)),
            "ROLE_NOT_ALLOWED",
            secrets=sealed.secrets,
            process_log=process_log,
            then=sealed.open,
        )
        critical(leaf)

    run(province, work)


def test_a_revoked_certificate_opens_nothing_and_ends_what_it_opened(province, process_log):
    async def work(world):
        sealed = await seal(world, opener="dismissed")
        _, token = await sealed.entered()
        world.sql(
            "UPDATE gateway.certificate SET state = 2, revoked_us = %s, reason = 4 WHERE serial = %s",
            *(world.clock.now_us(), sealed.opener.serial),
        )
        world.clock.turn(seconds=0.3)
        for attack in (
            unlock(world, token, sealed.opener),
            sealed.open(2),
            ask(world, sealed.opener, "EnterBreakGlass", entering(new_id())),
        ):
            await tried(
                world,
                attack,
                "CERT_REVOKED",
                secrets=sealed.secrets,
                process_log=process_log,
                then=lambda: world.login(world.county),
            )

    run(province, work)


@pytest.mark.parametrize("state", ["suspended", "locked", "expired", "unused"])
def test_the_openers_account_need_not_open_anything(province, state):
    async def work(world):
        sealed = await seal(world, opener=f"out-{state}")
        name, now_us = sealed.opener.account, world.clock.now_us()
        changes = {"suspended": "state = 2", "unused": "state = 3"}
        change = changes.get(state, "password_set_us = 1, password_expires_us = 2")
        if state == "locked":
            world.sql(
                "INSERT INTO gateway.throttle (organisation, account, lineage, failures,"
                " blocked_until_us, last_us, locked_us) VALUES (%s, %s, %s, 100, 0, %s, %s)",
                *(PROVINCE, name, f"officer/{name}", now_us, now_us),
            )
        else:
            world.sql(f"UPDATE gateway.account SET {change} WHERE name = %s", name)
        assert (await refused(world.login(sealed.opener))).reason in (
            *("LOGIN_FAILED", "LOGIN_LOCKED", "PASSWORD_BLOCKED"),
        )
        _, token = await sealed.entered()
        await unlock(world, token, sealed.opener)
        # His own account another one unlocks.
        request = admin.UnlockAccountRequest(
            request_id=new_id(), organisation_code=PROVINCE, account_name=name, reason="mine"
        )
        error = await refused(
            world.call(sealed.opener, ADMIN + "UnlockAccount", request, token=token)
        )
        assert error.reason == "OWN_ACCOUNT"

    run(province, work)


ALL_WITH_TOKEN = [
    (door, method)
    for door in LISTENERS
    for method in contract.rpcs(door)
    if method.rsplit("/", 1)[1] not in WITHOUT_TOKEN
]


async def every_rpc(world, sealed, token):
    """Call every rpc there is with a message that it takes; what each was answered and its leaf, by name."""
    found = {}
    for door, method in sorted(ALL_WITH_TOKEN, key=lambda one: one[1].endswith("Logout")):
        name = method.rsplit("/", 1)[1]
        if name == "CloseBreakGlass":  # answered elsewhere: it ends the session
            continue
        # The cases of break-glass itself seal anew.
        message = {
            "SealBreakGlass": pb.SealBreakGlassRequest(request_id=new_id(), officer_names=OFFICERS),
            "RegisterBreakGlassCode": pb.RegisterBreakGlassCodeRequest(request_id=new_id()),
        }.get(name) or case_of(method).message(world)
        raw = message.SerializeToString()
        watch = Watch(world)
        try:
            await send(world, door, method, sealed.opener, [raw], token=token)
            reason = ""
        except RefusedError as error:
            reason = error.reason
        found[name] = (reason, await watch.only_leaf())
    return found


def test_117_every_rpc_that_is_not_repair_is_refused(province, process_log):
    async def work(world):
        world.receipt_id = new_id()
        sealed = await seal(world)
        _, token = await sealed.entered()
        found = await every_rpc(world, sealed, token)
        answered = {name for name, (reason, _) in found.items() if not reason}
        assert answered == (ACTS | OWN) - {"CloseBreakGlass"}
        for name, (reason, leaf) in found.items():
            assert reason in ("", "ROLE_NOT_ALLOWED", "POLICY_DENIED"), name
            assert leaf["decision"] == ("deny" if reason else "allow")
            critical(leaf)
        told = process_log.getvalue()
        assert not any(secret in told for secret in sealed.secrets)
        await world.login(world.county)

    run(province, work)


def test_117_what_is_locked_stays_locked(province, process_log):
    """Break-glass locks a tunnel; it neither unlocks nor removes one."""

    async def work(world):
        sealed = await seal(world)
        _, token = await sealed.entered()
        made = tunnel(world)

        def to(state):
            request = admin.SetTunnelStateRequest(
                request_id=new_id(),
                organisation_code=COUNTY,
                kind=made.kind,
                peer=made.peer,
                state=state,
                reason="stolen laptop",
            )
            return world.call(sealed.opener, ADMIN + "SetTunnelState", request, token=token)

        for state in (admin.Tunnel.STATE_ACTIVE, admin.Tunnel.STATE_REMOVED):
            _, leaf = await tried(
                world,
                to(state),
                "POLICY_DENIED",
                secrets=sealed.secrets,
                process_log=process_log,
                then=lambda: to(admin.Tunnel.STATE_LOCKED),
            )
            critical(leaf)

    run(province, work)


def test_118_the_session_ends_after_its_hour(province, process_log):
    """Whatever is refreshed or entered meanwhile; and everything that was sealed is void then."""

    async def work(world):
        sealed = await seal(world)
        opening, _ = await sealed.entered()
        [(opened_us,)] = world.sql(
            "SELECT opened_us FROM gateway.break_glass_opening WHERE id = %s", opening
        )
        left_s = 60 * MINUTE_S - (world.clock.now_us() - opened_us) / 1_000_000
        world.clock.turn(seconds=left_s - 30)
        token = await sealed.enter(opening)
        await unlock(world, token, sealed.opener)
        world.clock.turn(seconds=31)
        for attack, reason in (
            (unlock(world, token, sealed.opener), "TOKEN_EXPIRED"),
            (ask(world, sealed.opener, "EnterBreakGlass", entering(opening)), "BREAK_GLASS_OVER"),
            (sealed.confirm(opening, OFFICERS[2]), "BREAK_GLASS_OVER"),
            (sealed.open(2), "BREAK_GLASS_SPENT"),
        ):
            _, leaf = await tried(
                world,
                attack,
                reason,
                secrets=sealed.secrets,
                process_log=process_log,
                then=lambda: world.login(world.county),
            )
            critical(leaf)
        again = await seal(world)
        await again.entered()

    run(province, work)


def test_118_nobody_confirms_after_a_quarter_of_an_hour(province, process_log):
    async def work(world):
        sealed = await seal(world)
        opening = await sealed.open()
        await sealed.confirm(opening, OFFICERS[0])
        world.clock.turn(seconds=15 * MINUTE_S)
        _, leaf = await tried(
            world,
            sealed.confirm(opening, OFFICERS[1]),
            "BREAK_GLASS_OVER",
            secrets=sealed.secrets,
            process_log=process_log,
            # The other envelope is there for that.
            then=lambda: sealed.entered(2),
        )
        critical(leaf)

    run(province, work)


def test_118_what_was_closed_is_void(province, process_log):
    async def work(world):
        sealed = await seal(world)
        opening, token = await sealed.entered()
        assert await sealed.close(opening, token)
        _, leaf = await tried(
            world,
            unlock(world, token, sealed.opener),
            "SESSION_UNKNOWN",
            secrets=sealed.secrets,
            process_log=process_log,
            then=lambda: world.login(world.county),
        )
        critical(leaf)
        for attack, reason in (
            (sealed.open(2), "BREAK_GLASS_UNSEALED"),
            (ask(world, sealed.opener, "EnterBreakGlass", entering(opening)), "BREAK_GLASS_OVER"),
            (sealed.confirm(opening, OFFICERS[2]), "BREAK_GLASS_OVER"),
        ):
            await tried(
                world,
                attack,
                reason,
                secrets=sealed.secrets,
                process_log=process_log,
                then=lambda: world.login(world.county),
            )

    run(province, work)


def test_118_a_token_that_was_carried_off_is_told_as_break_glass(province, process_log):
    """On another officer's connection it is nobody's, also past its end; the leaf says what was tried with."""

    async def work(world):
        sealed = await seal(world)
        opening, token = await sealed.entered()
        thief = world.people[PROVINCE, OFFICERS[1]]
        heard = {"secrets": (*sealed.secrets, token), "process_log": process_log}
        for late_s in (0, 11 * MINUTE_S):
            world.clock.turn(seconds=late_s)
            _, leaf = await tried(
                world,
                unlock(world, token, thief),
                "TOKEN_INVALID",
                then=lambda: world.login(world.county),
                **heard,
            )
            critical(leaf)
        _, leaf = await tried(
            world,
            unlock(world, token, sealed.opener),
            "TOKEN_EXPIRED",
            then=lambda: sealed.enter(opening),
            **heard,
        )
        critical(leaf)
        await sealed.close(opening, await sealed.enter(opening))

    run(province, work)


def test_a_drill_does_nothing(province, process_log):
    """It goes through the whole, and its session is refused everything that the real one may."""

    async def work(world):
        sealed = await seal(world)
        opening, token = await sealed.entered(drill=True)
        found = await every_rpc(world, sealed, token)
        assert {name for name, (reason, _) in found.items() if not reason} == OWN - {
            "CloseBreakGlass"
        }
        for name in ACTS:
            reason, leaf = found[name]
            assert reason == "ROLE_NOT_ALLOWED", name
            critical(leaf, "break-glass-drill")
        # What was exercised is void too: an envelope that was opened is not sealed any more.
        token = await sealed.enter(opening)
        assert await sealed.close(opening, token)
        _, leaf = await tried(
            world,
            sealed.open(2),
            "BREAK_GLASS_UNSEALED",
            secrets=sealed.secrets,
            process_log=process_log,
            then=lambda: world.login(world.county),
        )

    run(province, work)


def test_nothing_opens_before_every_officer_has_his_code(province, process_log):
    async def work(world):
        sealed = await seal(world, codes=OFFICERS[:2])
        await tried(
            world,
            sealed.open(),
            "BREAK_GLASS_UNSEALED",
            secrets=sealed.secrets,
            process_log=process_log,
            then=lambda: world.login(world.county),
        )
        whole = await seal(world)
        await whole.open()

    run(province, work)


def test_a_reset_is_critical_on_the_log(province):
    """With who did it and whose password it was."""

    async def work(world):
        sealed = await seal(world)
        _, token = await sealed.entered()
        request = admin.ResetPasswordRequest(
            request_id=new_id(),
            organisation_code=OTHER_CITY,
            account_name="uploader",
            reason="lost",
        )
        watch = Watch(world)
        await world.call(sealed.opener, ADMIN + "ResetPassword", request, token=token)
        leaf = await watch.only_leaf()
        critical(leaf)
        assert leaf["detail"]["target_account"] == "uploader"
        assert leaf["account"] == sealed.opener.account
        assert leaf["policies"] == ["p15-break-glass"]
        await world.call(sealed.opener, WHOAMI, b"", token=token)

    run(province, work)
