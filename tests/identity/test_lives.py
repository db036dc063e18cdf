"""Each kind's moments against what enforces them, a microsecond before, at and after every bound."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config.policies import load_policies, shipped
from gateway.identity import lives, rule_files
from gateway.identity.accounts import Account
from gateway.identity.breakglass_rows import Glass
from gateway.identity.lives import Kept
from gateway.identity.principal import PasswordState, password_state
from gateway.identity.rotation import DAY_US, HOUR_US, Secret, judge
from gateway.identity.rules import NEVER_US
from gateway.pki import renewal
from gateway.registry import tunnel_keys
from gateway.registry.tunnels import ACTIVE, LOCKED, REMOVED, Tunnel
from gateway.registry.witnesses import Witness
from gateway.tlog.cosignature import parse_vkey
from tests.tlog.test_cosignature import REMORA

POLICIES = load_policies(shipped("policies"))
ROTATION = POLICIES.rotation
NOW = 1_790_000_000_000_000
PROFILE = rule_files.load(shipped("policies") / "passwords.toml").at(NOW)
SIGNS_US = round(ROTATION.token_keys.sign_days * DAY_US)
AHEAD_US = round(ROTATION.token_keys.publish_hours * HOUR_US)
KEEPS_US = round(ROTATION.token_keys.verify_hours * HOUR_US)
LATE_US = round(ROTATION.engine.late_hours * HOUR_US)
BEARER = Secret("client-certificate", "sys/hub", "140100")


def account(kind: str = "officer", *, must_change: bool = False, ends_us: int = 0) -> Account:
    promised = ends_us or PROFILE.expires_us(NOW)
    return Account("140100", "wang", ("admin",), kind, "wang", 1, NOW, promised, must_change, 7, 0)  # type: ignore[arg-type]


def around(*moments: int) -> list[int]:
    return [moment + off for moment in moments for off in (-1, 0, 1)]


def stages(living: lives.Living, moments: list[int]) -> list[str]:
    return [judge(*living, moment).stage for moment in moments]


def test_a_password_stands_here_as_the_guard_treats_it():
    held = account()
    end_us = held.ends_us(PROFILE)
    blocked_us = PROFILE.blocks_us(end_us)
    moments = around(*(end_us - days * DAY_US for days in PROFILE.warning_days), end_us, blocked_us)
    words = {
        PasswordState.CURRENT: "issued",
        PasswordState.WARNED: "warned",
        PasswordState.EXPIRED: "restricted",
    }
    for moment, stage in zip(
        moments, stages(lives.of_account(held, PROFILE), moments), strict=True
    ):
        if moment >= blocked_us:
            assert (stage, held.blocked(PROFILE, moment)) == ("blocked", True)
        else:
            assert stage == words[password_state(held, PROFILE, moment)]
            assert not held.blocked(PROFILE, moment)


def test_a_password_says_whose_it_is_and_what_to_do():
    [secret, life] = lives.of_account(account(), PROFILE)
    assert secret == Secret("password", "wang", "140100", 7)
    assert lives.of_account(account("sys"), PROFILE)[0].kind == "service-secret"
    end_us = account().ends_us(PROFILE)
    assert [judge(secret, life, at).late for at in around(end_us)] == [False, True, True]
    assert judge(secret, life, NOW).step == "change"
    assert judge(secret, life, PROFILE.blocks_us(end_us)).step == "reset"


def test_a_service_secret_that_followed_another_is_a_generation_of_its_own_and_overlaps():
    held = replace(account("sys"), secret_rotations=2)
    secret, life = lives.of_account(held, PROFILE, overlapping=True)
    assert secret.generation == held.password_epoch + 2
    assert judge(secret, life, NOW).stage == "overlapping"
    assert judge(*lives.of_account(held, PROFILE), NOW).stage == "issued"
    forever = replace(PROFILE, maximum_age_days=0)
    held = replace(held, password_expires_us=forever.expires_us(NOW))
    assert judge(*lives.of_account(held, forever, overlapping=True), NOW).stage == "overlapping"


def test_a_one_time_password_only_serves_to_be_changed_and_then_to_nothing():
    end_us = NOW + PROFILE.one_time_hours * HOUR_US
    held = account(must_change=True, ends_us=end_us)
    living = lives.of_account(held, PROFILE)
    assert stages(living, [NOW, *around(end_us)]) == ["restricted"] * 2 + ["blocked"] * 2
    for moment in around(end_us):
        assert password_state(held, PROFILE, moment) is PasswordState.MUST_CHANGE
        assert (judge(*living, moment).stage == "blocked") == held.blocked(PROFILE, moment)


def test_where_the_policy_sets_no_age_a_password_stays_issued():
    profile = replace(PROFILE, maximum_age_days=0, warning_days=(), tightened_us=0)
    held = account(ends_us=NEVER_US)
    assert stages(lives.of_account(held, profile), [NOW + 40 * 365 * DAY_US]) == ["issued"]


@given(st.integers(1, 400), st.integers(-2 * DAY_US, 500 * DAY_US))
def test_a_certificate_is_warned_of_exactly_when_the_ladder_says_so(days, off_us):
    life_us = (NOW, NOW + days * DAY_US)
    found = judge(
        *lives.of_client_certificate(BEARER, life_us, POLICIES.certificates), NOW + off_us
    )
    step = renewal.warning_days(*life_us, NOW + off_us, POLICIES.certificates.warnings)
    assert (found.warnings > 0) == (step > 0)
    if found.stage in ("issued", "warned"):
        assert (found.stage == "warned") == (step > 0)


def test_a_certificate_past_its_end_only_serves_to_be_renewed_and_then_somebody_invites():
    end_us = NOW + 14 * DAY_US
    closes_us = renewal.closes_us(end_us, POLICIES.certificates.renewal)
    living = lives.of_client_certificate(BEARER, (NOW, end_us), POLICIES.certificates)
    assert stages(living, around(end_us)) == ["warned", "restricted", "restricted"]
    assert stages(living, around(closes_us)) == ["restricted", "blocked", "blocked"]
    assert judge(*living, closes_us).step == "invite"


def test_the_hosts_certificates_end_at_once_and_overlap_while_they_are_followed():
    end_us = NOW + 365 * DAY_US
    secret = Secret("authority-certificate", "client-authority", "host")
    alone = lives.of_host_certificate(secret, (NOW, end_us), POLICIES.certificates, followed=False)
    assert stages(alone, around(end_us - 60 * DAY_US)) == ["issued", "warned", "warned"]
    assert stages(alone, around(end_us)) == ["warned", "blocked", "blocked"]
    followed = lives.of_host_certificate(
        secret, (NOW, end_us), POLICIES.certificates, followed=True
    )
    assert stages(followed, around(end_us)) == ["overlapping", "blocked", "blocked"]
    assert judge(*followed, NOW).step == "retire"


def test_a_list_is_signed_hourly_late_from_its_alarm_and_nobody_comes_in_past_its_end():
    listed, until_us = POLICIES.certificates.revocation_list, NOW + DAY_US
    secret = Secret("revocation-list", "client-authority", "host")
    living = lives.of_revocation_list(secret, NOW, until_us, POLICIES.certificates)
    alarm_us = NOW + round(listed.alarm_hours * HOUR_US)
    assert stages(living, around(alarm_us)) == ["issued", "warned", "warned"]
    assert [judge(*living, at).late for at in around(alarm_us)] == [False, True, True]
    assert stages(living, around(until_us)) == ["warned", "blocked", "blocked"]
    assert judge(*living, NOW).due_us == NOW + round(listed.renew_hours * HOUR_US)


OLD = Tunnel("wireguard", "old", "140105", ("10.14.1.5/32",), ACTIVE, NOW, NOW, NOW)
FOLLOWED = replace(OLD, followed_by="new")
AT_WORK = replace(FOLLOWED, followed_us=NOW + 5 * DAY_US)
NEW = replace(OLD, peer="new", follows="old", overlaps=True, last_seen_us=None)
IKE = replace(OLD, kind="strongswan", peer="C=CN, CN=county")


@pytest.mark.parametrize(
    ("tunnel", "step"),
    [
        (OLD, "replace"),
        (FOLLOWED, "install"),
        (NEW, "install"),
        (AT_WORK, "retire"),
        (replace(NEW, first_seen_us=NOW), "replace"),
        (IKE, "none"),
        (replace(OLD, state=LOCKED), "none"),
        (replace(OLD, state=REMOVED), "none"),
    ],
)
def test_a_tunnels_key_stands_here_as_its_own_judge_says(tunnel, step):
    due_us = NOW + round(POLICIES.tunnels.key_days * DAY_US)
    for moment in [NOW, *around(due_us)]:
        theirs = tunnel_keys.judge(tunnel, POLICIES.tunnels, moment)
        ours = judge(*lives.of_tunnel(tunnel, POLICIES.tunnels, moment), moment)
        assert ours.stage == ("blocked" if theirs.state == "ended" else theirs.state)
        assert (ours.step, ours.age_us) == (step, theirs.age_us)
        # Whose successor is at work is not late; nor is what is not in use.
        overdue = moment >= due_us and theirs.due_us is not None and step != "retire"
        assert ours.late == overdue
    assert judge(*lives.of_tunnel(AT_WORK, POLICIES.tunnels, NOW), NOW).due_us == (
        NOW + 5 * DAY_US + round(POLICIES.tunnels.overlap_hours * HOUR_US)
    )


def key(name: str, generation: int, made_us: int, **times: int) -> Kept:
    return Kept(Secret("token-key", name, "host", generation), made_us, **times)


def steps(*keys: Kept, at: int) -> list[tuple[str, int | None]]:
    told = []
    for one in keys:
        others = [other for other in keys if other is not one]
        found = judge(*lives.of_kept(one, others, ROTATION), at)
        told.append((found.step, found.due_us))
    return told


def test_a_token_key_is_published_a_day_ahead_signs_its_month_and_is_taken_an_hour_longer():
    first = key("one", 1, NOW, used_us=NOW)
    end_us = NOW + SIGNS_US
    assert steps(first, at=NOW) == [("publish", end_us - AHEAD_US)]
    second = key("two", 2, end_us - AHEAD_US)
    assert steps(first, second, at=NOW) == [("switch", end_us)] * 2
    old, new = replace(first, replaced_us=end_us), replace(second, used_us=end_us)
    assert steps(old, new, at=NOW) == [
        ("retire", end_us + KEEPS_US),
        ("publish", end_us + SIGNS_US - AHEAD_US),
    ]


def test_a_key_that_was_published_late_still_waits_its_day():
    """The gateway was off for two months: no door may meet a token of a key it had no time to learn."""
    first = key("one", 1, NOW, used_us=NOW)
    late_us = NOW + 60 * DAY_US
    second = key("two", 2, late_us)
    assert steps(first, second, at=late_us) == [("switch", late_us + AHEAD_US)] * 2


def test_a_step_that_is_overdue_is_told_and_stops_nothing():
    first = key("one", 1, NOW, used_us=NOW)
    living = lives.of_kept(first, [], ROTATION)
    late_us = NOW + SIGNS_US - AHEAD_US + LATE_US
    assert stages(living, around(late_us)) == ["issued", "warned", "warned"]
    assert [judge(*living, at).late for at in around(late_us)] == [False, True, True]
    assert stages(living, [NOW + 10 * SIGNS_US]) == ["warned"]


@pytest.mark.parametrize("kind", ["signer-key", "backup-recipient", "database-password"])
def test_what_a_person_changes_is_told_before_and_late_after_its_days(kind):
    """Of database passwords: where another keeps the database."""
    kept = Kept(Secret(kind, "x", "host"), NOW)
    days = {
        "signer-key": ROTATION.ages.signer_key_days,
        "backup-recipient": ROTATION.ages.backup_recipient_days,
        "database-password": ROTATION.ages.database_password_days,
    }[kind]
    living = lives.of_kept(kept, [], ROTATION, external=True)
    end_us = NOW + round(days * DAY_US)
    first_us = end_us - ROTATION.engine.warning_days[0] * DAY_US
    assert stages(living, around(first_us)) == ["issued", "warned", "warned"]
    assert [judge(*living, at).late for at in around(end_us)] == [False, True, True]
    assert judge(*living, end_us).step == "replace"


def test_the_key_before_signs_beside_the_logs_key_for_its_days():
    first = Kept(Secret("signer-key", "log", "host", 1), NOW, replaced_us=NOW + 5 * DAY_US)
    second = Kept(Secret("signer-key", "log", "host", 2), NOW + 5 * DAY_US)
    living = lives.of_kept(first, [second], ROTATION)
    due_us = NOW + 5 * DAY_US + round(ROTATION.signer_key.overlap_days * DAY_US)
    found = judge(*living, due_us)
    assert (found.stage, found.step, found.due_us) == ("overlapping", "retire", due_us)
    assert [judge(*living, at).late for at in around(due_us + LATE_US)] == [False, True, True]
    assert judge(*lives.of_kept(second, [first], ROTATION), NOW).stage == "overlapping"
    assert judge(*lives.of_kept(second, [], ROTATION), NOW).stage == "issued"


def test_the_logs_key_whose_age_asks_for_nothing_is_never_late():
    ages = replace(ROTATION.ages, signer_key_days=0.0)
    kept = Kept(Secret("signer-key", "log", "host"), NOW)
    found = judge(*lives.of_kept(kept, [], replace(ROTATION, ages=ages)), NOW + 36_000 * DAY_US)
    assert (found.stage, found.step, found.late) == ("issued", "none", False)


@pytest.mark.parametrize(
    ("kind", "step", "external"),
    [
        ("sealing-key", "publish", False),
        ("sealing-key", "publish", True),
        ("export-key", "publish", False),
        ("export-key", "publish", True),
        ("database-password", "switch", False),
    ],
)
def test_what_the_gateway_changes_by_itself_is_due_at_its_age_and_told_once_it_is_late(
    kind, step, external
):
    kept = Kept(Secret(kind, "x", "host"), NOW)
    days = {
        "sealing-key": ROTATION.ages.sealing_key_days,
        "export-key": ROTATION.ages.export_key_days,
        "database-password": ROTATION.ages.database_password_days,
    }[kind]
    living = lives.of_kept(kept, [], ROTATION, external=external)
    due_us = NOW + round(days * DAY_US)
    found = judge(*living, due_us)
    assert (found.step, found.due_us, found.late) == (step, due_us, False)
    late_us = due_us + LATE_US
    assert stages(living, around(late_us)) == ["issued", "warned", "warned"]
    assert [judge(*living, at).late for at in around(late_us)] == [False, True, True]


def glass(**changes: object) -> Glass:
    return replace(Glass("140000", 3, NOW, coded=True), **changes)  # type: ignore[arg-type]


GLASS_END = NOW + round(ROTATION.ages.break_glass_days * DAY_US)


def test_a_sealing_is_sealed_anew_at_its_age():
    living = lives.of_break_glass(glass(), ROTATION)
    assert living[0] == Secret("break-glass", "envelopes", "140000", 3)
    first_us = GLASS_END - ROTATION.engine.warning_days[0] * DAY_US
    assert stages(living, around(first_us)) == ["issued", "warned", "warned"]
    assert [judge(*living, at).late for at in around(GLASS_END)] == [False, True, True]
    assert judge(*living, GLASS_END).step == "seal"


def test_a_sealing_whose_officers_have_no_codes_yet_opens_nothing():
    living = lives.of_break_glass(glass(coded=False), ROTATION)
    assert (judge(*living, NOW).stage, judge(*living, NOW).step) == ("restricted", "change")
    assert not judge(*living, NOW).late


def test_an_envelope_that_was_opened_is_told_of_until_all_is_sealed_anew():
    shown_us = NOW + 7
    living = lives.of_break_glass(glass(shown_us=shown_us), ROTATION)
    assert stages(living, around(shown_us)) == ["issued", "warned", "warned"]
    assert (judge(*living, shown_us).step, judge(*living, shown_us).due_us) == ("seal", shown_us)
    assert [judge(*living, at).late for at in around(GLASS_END)] == [False, True, True]


def test_what_was_opened_opens_nothing_more_and_somebody_is_late_at_once():
    void_us = NOW + 7
    living = lives.of_break_glass(glass(shown_us=NOW + 1, void_us=void_us), ROTATION)
    assert stages(living, around(void_us)) == ["issued", "blocked", "blocked"]
    assert [judge(*living, at).late for at in around(void_us)] == [False, True, True]
    assert judge(*living, void_us).step == "seal"


def test_where_the_policy_sets_no_age_a_sealing_stays():
    forever = replace(ROTATION, ages=replace(ROTATION.ages, break_glass_days=0.0))
    living = lives.of_break_glass(glass(), forever)
    found = judge(*living, NOW + 40 * 365 * DAY_US)
    assert (found.stage, found.due_us, found.late) == ("issued", None, False)


@pytest.mark.parametrize(
    "kind",
    [
        "index-key",
        "export-token-key",
        "export-ticket-key",
        "invitation-key",
        "side-part-key",
        "subject-tag-key",
    ],
)
def test_what_all_that_is_stored_or_sent_hangs_on_is_never_changed_for_its_age(kind):
    kept = Kept(Secret(kind, "x", "host"), NOW)
    found = judge(*lives.of_kept(kept, [], ROTATION), NOW + 40 * 365 * DAY_US)
    assert (found.stage, found.step, found.due_us, found.late) == ("issued", "none", None, False)


def test_what_was_replaced_is_kept_beside_its_successor():
    kept = Kept(Secret("sealing-key", "body 1", "host"), NOW, replaced_us=NOW + DAY_US)
    found = judge(*lives.of_kept(kept, [], ROTATION), NOW + 4000 * DAY_US)
    assert (found.stage, found.late) == ("overlapping", False)


def test_a_witness_key_is_warned_of_and_late_at_the_policys_age():
    key = parse_vkey(REMORA)
    living = lives.of_witness(Witness("140100", key, NOW), ROTATION)
    end_us = NOW + round(ROTATION.ages.witness_key_days * DAY_US)
    assert living[0] == Secret("witness-key", key.name, "140100", key_id="da77ade7")
    days = ROTATION.engine.warning_days
    assert stages(living, around(end_us - days[0] * DAY_US)) == ["issued", "warned", "warned"]
    assert [judge(*living, moment).late for moment in around(end_us)] == [False, True, True]
    never = replace(ROTATION, ages=replace(ROTATION.ages, witness_key_days=0.0))
    assert lives.of_witness(Witness("140100", key, NOW), never)[1].due_us is None
