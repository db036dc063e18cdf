"""Issue 3: 120 systems over ninety days of a turned clock; no honest system is ever locked out, each clone is caught.

Renewals in the gateway's window, a week's outage, lost answers, lost keys, a new issuing authority, and ten stolen keys:
some thieves only use what they stole, some renew it. The log tells the story.
"""

import asyncio
import random
from collections import Counter
from dataclasses import dataclass, field

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from gateway.audit.archive import export
from gateway.audit.verify import verify_folder
from gateway.names import DEFAULT_TRUST_DOMAIN, Subject
from gateway.store import roles
from gateway.store.database import Database
from gateway.tlog.note import parse_vkey
from tests.faults.ninety_days import Life, Province
from tests.people import UNITS, Person
from tests.world import World, fresh_ground

SYSTEMS, DAYS, STEPS_A_DAY = 120, 90, 4
STEP_S = 86_400 // STEPS_A_DAY
# Nothing answers in these days.
OUTAGE = range(30, 37)
ROLL_OVER_DAY, RETIRE_DAY = 50, 75
# Each honest system shows its certificate so often; it renews between.
SHOWN_EVERY_DAYS = 2
LOST_ANSWER, LOST_KEY = 0.15, 0.2
THEFT_DAYS = (3, 6, 9, 12, 15, 42, 47, 52, 58, 64)
# A thief who only uses the key comes back after the honest system has renewed for certain.
SECOND_USE_DAYS = 10


@dataclass
class Thief:
    """A copy of a system's key and certificate; `renews`: it takes the next certificate for itself."""

    victim: Life
    person: Person
    renews: bool
    again_day: int
    uses: int = 0
    caught_at_use: int = 0


@dataclass
class Story:
    """What happened, to be compared with the log."""

    counts: Counter[str] = field(default_factory=Counter)
    thieves: list[Thief] = field(default_factory=list)
    victims_told: int = 0


@pytest.mark.timeout(900)
def test_no_honest_system_is_locked_out_and_each_clone_is_caught(cluster, tmp_path) -> None:
    with fresh_ground(cluster) as ground:
        asyncio.run(_ninety_days(ground, tmp_path))


async def _ninety_days(ground, folder) -> None:
    dice = random.Random(20260817)
    async with World.open(ground) as world, Province.open(world) as province:
        await province.keep()
        story = Story()
        lives = await _enrol_everybody(province, story, dice)
        old = None
        for step in range(DAYS * STEPS_A_DAY):
            day, morning = divmod(step, STEPS_A_DAY)
            world.clock.turn(seconds=STEP_S)
            if day in OUTAGE:
                continue
            await province.keep()
            if not morning:
                if day == ROLL_OVER_DAY:
                    old = province.roll_over()
                if day == RETIRE_DAY:
                    province.retire(old)
                await province.keep()
                await _steal(province, story, lives, dice, day)
                await _come_back(province, story, day)
            for number, life in enumerate(lives):
                shown = not morning and (day + number) % SHOWN_EVERY_DAYS == 0
                await _live(province, story, life, dice, shown=shown)
        await _in_the_end(province, story, lives)
        await _log_verifies(world, folder / "log")


async def _enrol_everybody(province: Province, story: Story, dice: random.Random) -> list[Life]:
    organisations = sorted(UNITS)
    subjects = [
        Subject(DEFAULT_TRUST_DOMAIN, organisations[n % len(organisations)], "sys", f"his-{n}")
        for n in range(SYSTEMS)
    ]
    await province.register(subjects)
    return [await _enrol(province, story, subject, dice) for subject in subjects]


async def _enrol(province: Province, story: Story, subject: Subject, dice: random.Random) -> Life:
    code = await province.invite(subject)
    story.counts["enrolled"] += 1
    person, window = await province.enrol(subject, code)
    life = Life(subject, person, 0)
    life.pick(window, province.clock.now_us(), dice)
    assert await province.present(person) == ""
    story.counts["used"] += 1
    return life


async def _live(
    province: Province, story: Story, life: Life, dice: random.Random, *, shown: bool
) -> None:
    """One step of an honest system: renew when its moment has come; sometimes show what it holds."""
    now_us = province.clock.now_us()
    if not shown and now_us < life.moment_us and life.waiting is None:
        return
    defect = await province.present(life.person)
    if defect == "LINEAGE_LOCKED":
        # Only a stolen key does that; the way out is an invitation, under the same name.
        assert life.robbed, life.subject
        story.victims_told += 1
        fresh = await _enrol(province, story, life.subject, dice)
        life.person, life.moment_us = fresh.person, fresh.moment_us
        life.waiting, life.robbed = None, False
        return
    if defect == "CERT_SUPERSEDED":
        # Within the grace after a thief's first use of the next one: refused, not suspected; it comes again.
        assert life.robbed, life.subject
        return
    assert defect in ("", "CERT_EXPIRED"), (life.subject, defect)
    story.counts["came expired"] += defect == "CERT_EXPIRED"
    if defect or now_us >= life.moment_us or life.waiting is not None:
        await _renew(province, story, life, dice, defect)
    elif province.is_rolled_over(life.person):
        life.pick(await province.window(life.person), now_us, dice)


async def _renew(
    province: Province, story: Story, life: Life, dice: random.Random, defect: str
) -> None:
    life.waiting = life.waiting or ec.generate_private_key(ec.SECP256R1())
    person, window = await province.renew(life.person, life.waiting, defect)
    story.counts["renewed"] += 1
    if dice.random() < LOST_ANSWER:
        story.counts["answers lost"] += 1
        if dice.random() < LOST_KEY:
            story.counts["keys lost"] += 1
            life.waiting = None
            life.moment_us = province.clock.now_us()
        return
    life.person, life.waiting = person, None
    life.pick(window, province.clock.now_us(), dice)
    assert await province.present(person) == ""
    story.counts["used"] += 1


async def _steal(
    province: Province, story: Story, lives: list[Life], dice: random.Random, day: int
) -> None:
    """Copy somebody's key and certificate and use them, or renew them, at once."""
    if day not in THEFT_DAYS:
        return
    life = dice.choice([one for one in lives if not one.robbed and one.waiting is None])
    life.robbed = True
    renews = len(story.thieves) % 2 == 1
    thief = Thief(life, life.person, renews, day + (1 if renews else SECOND_USE_DAYS))
    story.thieves.append(thief)
    assert await province.present(thief.person) == ""
    thief.uses += 1
    if renews:
        key = ec.generate_private_key(ec.SECP256R1())
        thief.person, _ = await province.renew(thief.person, key)
        story.counts["renewed"] += 1
        assert await province.present(thief.person) == ""
        story.counts["used"] += 1


async def _come_back(province: Province, story: Story, day: int) -> None:
    """A thief uses what he has again, every day from his day on until he is caught."""
    for thief in story.thieves:
        if day < thief.again_day or thief.caught_at_use:
            continue
        thief.uses += 1
        defect = await province.present(thief.person)
        if defect == "LINEAGE_LOCKED":
            thief.caught_at_use = thief.uses
        else:
            # Who renewed is found out when the honest one comes, within two days.
            assert thief.renews, (thief, defect)
            assert defect == ""
            assert day - thief.again_day <= SHOWN_EVERY_DAYS


async def _in_the_end(province: Province, story: Story, lives: list[Life]) -> None:
    """Everybody is in, every thief was caught at his second use, and the log tells exactly this."""
    counts = story.counts
    assert [await province.present(life.person) for life in lives] == [""] * SYSTEMS
    assert all(thief.caught_at_use for thief in story.thieves)
    assert {thief.caught_at_use for thief in story.thieves if not thief.renews} == {2}
    assert len(story.thieves) == len(THEFT_DAYS)
    assert story.victims_told == len(THEFT_DAYS)
    assert counts["enrolled"] == SYSTEMS + len(THEFT_DAYS)
    for part in ("came expired", "answers lost", "keys lost"):
        assert counts[part], part
    assert counts["renewed"] > SYSTEMS * DAYS / 10
    told = Counter(
        (leaf["kind"], leaf["decision"], leaf.get("reason")) for leaf in province.world.leaves()
    )
    assert told["enrolment.enrol", "allow", None] == counts["enrolled"]
    assert told["identity.renew", "allow", None] == counts["renewed"]
    assert told["certificate.clone", "deny", "LINEAGE_LOCKED"] == len(THEFT_DAYS)
    # Each officer who invited came with a certificate of his own.
    assert told["certificate.used", "allow", None] == counts["used"] + counts["enrolled"]
    assert {kind for kind, decision, _ in told if decision != "allow"} == {"certificate.clone"}
    assert not province.world.sql(
        "SELECT 1 FROM gateway.lineage AS l JOIN gateway.certificate AS c ON c.lineage = l.id"
        " WHERE l.locked_us IS NOT NULL AND c.serial = ANY(%s)",
        [life.person.serial for life in lives],
    )
    print(dict(counts), Counter(kind for kind, _, _ in told.elements()))


async def _log_verifies(world: World, folder) -> None:
    conninfo = roles.conninfo(world.home, world.settings, "administration")
    database = await Database.open(conninfo, application="export")
    key = world.home.log_key.read_text().strip()
    try:
        signed = world.doors["administration"].recorder.newest_checkpoint
        done = await export(database, signed, key, folder, lambda *_: None)
    finally:
        await database.close()
    report = verify_folder(folder, parse_vkey(key))
    assert report.failures == ()
    assert done.size == report.judging.kinds.total()
