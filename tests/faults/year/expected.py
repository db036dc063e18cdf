"""What `gateway rotation status --json` must show on a day of the simulated year, secret by secret, from the policy's words alone."""

from dataclasses import dataclass, field
from datetime import datetime

from tests.faults.year import words
from tests.faults.year.keys import HostKeys, Line, Which, moment
from tests.faults.year.model import Account, Model
from tests.faults.year.words import DAY, HOUR, MINUTE, SECOND

CERTIFICATE_WARNINGS = (60, 30, 14, 7, 1)
HOST_WARNINGS = (30, 14, 7, 1)
# How many days what the host keeps may serve.
CERTIFICATES = {
    ("server-certificate", "server"): 365,
    ("authority-certificate", "root"): 7300,
    ("authority-certificate", "client-authority"): 1825,
    ("authority-certificate", "server-authority"): 1825,
}
KEYS = {
    ("signer-key", "log"): 365,
    # Of a database that another keeps; the gateway's own it changes by itself.
    **{
        ("database-password", role): 365
        for role in (
            "owner",
            "identity",
            "intake",
            "disclosure",
            "administration",
            "front",
            "backup",
        )
    },
}
# Certificates are made five minutes before they are given.
EARLIER = 5 * MINUTE


def of_account(account: Account, now: int) -> Line:
    """A password or a service secret."""
    stage = account.stage(now)
    step = "reset" if stage == "blocked" else "change"
    ends = account.ends(now)
    return stage, (now - account.made) // SECOND, step, moment(ends), now >= ends


def of_certificate(made: int, ends: int, now: int) -> Line | None:
    """A bearer's certificate: a week after its end it cannot be renewed any more, a month after it is forgotten."""
    if now >= ends + 30 * DAY:
        return None
    warned = any(now >= ends - days * DAY for days in CERTIFICATE_WARNINGS)
    stage = "warned" if warned else "issued"
    stage = "restricted" if now >= ends else stage
    stage = "blocked" if now >= ends + 7 * DAY else stage
    step = "invite" if stage == "blocked" else "renew"
    return stage, (now - made) // SECOND, step, moment(ends), now >= ends


def replaced_by_people(made: int, days: int, now: int, warnings: tuple[int, ...]) -> Line:
    """What a person of the host replaces before so many days have passed."""
    ends = made + days * DAY
    stage = "warned" if any(now >= ends - one * DAY for one in warnings) else "issued"
    return stage, (now - made) // SECOND, "replace", moment(ends), now >= ends


@dataclass
class Status:
    """Everything that is to be shown."""

    model: Model
    keys: HostKeys
    listed_us: int = 0
    # Of each certificate of a bearer: owner and name, when it ends.
    certificates: dict[tuple[str, str], int] = field(default_factory=dict)
    tunnels: dict[tuple[str, str], int] = field(default_factory=dict)
    _told: set[tuple[Which, str]] = field(default_factory=set)

    def at(self, now: int) -> dict[Which, Line]:
        """Return what must be shown at a moment."""
        shown = self.keys.lines(now) | self._host(now)
        for (owner, name), account in self.model.accounts.items():
            if account.state == "active":
                kind = "service-secret" if account.service else "password"
                shown[kind, owner, name, account.number] = of_account(account, now)
        made = words.START - EARLIER
        for (owner, name), ends in self.certificates.items():
            line = of_certificate(made, ends, now)
            if line is not None:
                shown["client-certificate", owner, name, 1] = line
        for (owner, name), registered in self.tunnels.items():
            due = registered + 180 * DAY
            stage, late = ("warned", True) if now >= due else ("issued", False)
            age = (now - registered) // SECOND
            shown["tunnel-key", owner, name, 1] = (stage, age, "replace", moment(due), late)
        return shown

    def news(self, now: int) -> list[tuple[Which, str]]:
        """What is told now of secrets that are no account's: each warning, restriction and block once."""
        fresh = []
        for which, (stage, _, _, due, late) in self.at(now).items():
            if which[0] in ("password", "service-secret", "revocation-list"):
                continue
            if stage != "warned" and not (stage in ("restricted", "blocked") and late):
                continue
            what = stage if stage != "warned" else f"warned {self._step(which[0], due, now)}"
            if (which, what) not in self._told:
                self._told.add((which, what))
                fresh.append((which, what))
        return fresh

    def _step(self, kind: str, due: str | None, now: int) -> int:
        """How many of its warnings have come."""
        ladder = CERTIFICATE_WARNINGS if kind.endswith("certificate") else HOST_WARNINGS
        if due is None or kind in ("tunnel-key", "token-key", "sealing-key"):
            return 1
        left = us_of(due) - now
        return sum(1 for days in ladder if left <= days * DAY)

    def _host(self, now: int) -> dict[Which, Line]:
        made = words.START - EARLIER
        age = (now - words.START) // SECOND
        lines: dict[tuple[str, str], Line] = {
            ("index-key", "blind-index"): ("issued", age, "none", None, False),
            ("export-token-key", "row-tokens"): ("issued", age, "none", None, False),
            ("export-ticket-key", "tickets"): ("issued", age, "none", None, False),
            ("invitation-key", "invitations"): ("issued", age, "none", None, False),
            ("side-part-key", "side-parts"): ("issued", age, "none", None, False),
            # Followed by another on the day after the last.
            ("export-key", "manifests"): (
                *("issued", age, "publish"),
                *(moment(words.START + 365 * DAY), False),
            ),
            ("revocation-list", "client-authority"): self._list(now),
        }
        for which, days in CERTIFICATES.items():
            lines[which] = replaced_by_people(made, days, now, CERTIFICATE_WARNINGS)
        for which, days in KEYS.items():
            lines[which] = replaced_by_people(words.START, days, now, HOST_WARNINGS)
        return {(kind, "host", name, 1): line for (kind, name), line in lines.items()}

    def _list(self, now: int) -> Line:
        """A list is signed hourly, late after 12 hours and worth nothing after 24."""
        late = now >= self.listed_us + 12 * HOUR
        stage = "warned" if late else "issued"
        stage = "blocked" if now >= self.listed_us + 24 * HOUR else stage
        due = moment(self.listed_us + HOUR)
        return stage, (now - self.listed_us) // SECOND, "sign", due, late


def us_of(text: str) -> int:
    """The microseconds of a moment in JSON."""
    whole, _, rest = text.removesuffix("Z").partition(".")
    return int(datetime.fromisoformat(f"{whole}+00:00").timestamp()) * SECOND + int(rest)


def shown_in(document: dict[str, object]) -> dict[Which, Line]:
    """The same of what the command printed."""
    secrets = document["secrets"]
    assert isinstance(secrets, list)
    # Made by a chore of a door at the turn of a quarter: tests/store/test_tag_keys.py.
    secrets = [one for one in secrets if one["kind"] != "subject-tag-key"]
    found = {
        (one["kind"], one["owner"], one["name"], one["generation"]): (
            one["stage"],
            one["age_seconds"],
            one["step"],
            one["due"],
            one["late"],
        )
        for one in secrets
    }
    assert len(found) == len(secrets)
    return found
