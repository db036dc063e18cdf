"""What the policy's words promise of every account: who gets in, and what the log will tell of it.

An independent, small second writing of the rules: it is asked before each call and told what became of it.
"""

from dataclasses import dataclass, field

from tests.faults.year import words
from tests.faults.year.words import DAY, HOUR, MINUTE

Key = tuple[str, str]


@dataclass
class Other:
    """A service account's other secret: the next one, or (`former`) the one that was replaced."""

    secret: str
    made: int
    request: str
    ends: int
    former: bool = False


@dataclass
class Failures:
    """What was guessed of one account over one certificate subject."""

    times: list[int] = field(default_factory=list)
    count: int = 0
    blocked_until: int = 0
    locked: bool = False


@dataclass
class Account:
    """One account; `number` counts its passwords, `used` is when somebody last came, `told` what was told of it."""

    key: Key
    service: bool
    secret: str
    made: int
    promised: int
    one_time: bool = True
    number: int = 0
    state: str = "active"
    used: int = 0
    told_unused: bool = False
    told: set[tuple[int, str]] = field(default_factory=set)
    other: Other | None = None
    # What was ever chosen for it.
    former: list[str] = field(default_factory=list)

    def ends(self, now: int) -> int:
        """When its password ends: as promised, or earlier by a stricter policy, which warns first."""
        if self.one_time or now < words.TIGHTENED:
            return self.promised
        first_warning = max(words.WARNING_DAYS) * DAY
        stricter = max(self.made + words.TIGHTER_AGE_DAYS * DAY, words.TIGHTENED + first_warning)
        return min(self.promised, stricter)

    def blocks(self, now: int) -> int:
        """From when on it opens nothing."""
        return self.ends(now) + (0 if self.one_time else words.GRACE_DAYS * DAY)

    def stage(self, now: int) -> str:
        """Where it is in its life."""
        if now >= self.blocks(now):
            return "blocked"
        if self.one_time or now >= self.ends(now):
            return "restricted"
        if self.other is not None and now < self.other.ends:
            return "overlapping"
        return "warned" if self.warnings(now) else "issued"

    def warnings(self, now: int) -> list[int]:
        """The warning days that have come."""
        return [days for days in words.WARNING_DAYS if now >= self.ends(now) - days * DAY]


@dataclass
class Model:
    """All accounts, what was guessed, whose tokens are good, and the story of each."""

    accounts: dict[Key, Account] = field(default_factory=dict)
    failures: dict[tuple[str, str, str], Failures] = field(default_factory=dict)
    # Of the last hour, where the session stands: whose, and since when.
    tokens: dict[str, tuple[Key, int]] = field(default_factory=dict)
    stories: dict[Key, list[str]] = field(default_factory=dict)

    def tell(self, key: Key, word: str) -> None:
        """Add a word to somebody's story."""
        self.stories.setdefault(key, []).append(word)

    # --- who gets in ------------------------------------------------------------------------------

    def shown(self, who: Key, typed: str, secret: str, now: int) -> tuple[str, str]:
        """Return the reason why a secret is refused, or "", and which one it was ("next", "former", ""); counts a failure."""
        place = (who[0], typed, who[1])
        guessed = self.failures.get(place, Failures())
        if now < guessed.blocked_until:
            return "LOGIN_THROTTLED", ""
        if guessed.locked:
            return "LOGIN_LOCKED", ""
        account = self.accounts.get((who[0], typed))
        which = None
        if account is not None and account.key == who and account.state == "active":
            which = self._which(account, secret, now)
        if account is None or which is None:
            self._count(place, now)
            return "LOGIN_FAILED", ""
        if which == "lapsed":
            return "SECRET_REPLACED", ""
        if which != "next" and now >= account.blocks(now):
            return "PASSWORD_BLOCKED", ""
        return "", which

    def _which(self, account: Account, secret: str, now: int) -> str | None:
        other = account.other
        if secret == account.secret and not (account.one_time and now >= account.ends(now)):
            return ""
        if other is None or secret != other.secret:
            return None
        if other.former:
            return "former" if now < other.ends else "lapsed"
        return "next" if now < other.ends else None

    def _count(self, place: tuple[str, str, str], now: int) -> None:
        guessed = self.failures.setdefault(place, Failures())
        forgotten = guessed.times and now - guessed.times[-1] > words.FORGET_HOURS * HOUR
        if forgotten and not guessed.locked:
            guessed = self.failures[place] = Failures()
        guessed.times.append(now)
        guessed.count += 1
        beyond = guessed.count - words.FAILURES
        if beyond >= 0:
            minutes = min(words.LONGEST_BLOCK_MINUTES, 2 ** min(beyond, 10))
            guessed.blocked_until = now + minutes * MINUTE
            recent = [one for one in guessed.times if one > now - words.LOCK_HOURS * HOUR]
            guessed.locked = len(recent) >= words.LOCK_FAILURES

    # --- what happens -----------------------------------------------------------------------------

    def opened(self, who: Key, which: str, token: str, now: int) -> None:
        """Somebody logged in."""
        account = self.accounts[who]
        self.failures.pop((who[0], who[1], who[1]), None)
        account.used, account.told_unused = now, False
        if which == "next" and account.other is not None:
            self._take(account, account.other, now)
        lately = now - HOUR
        self.tokens = {one: held for one, held in self.tokens.items() if held[1] > lately}
        self.tokens[token] = (who, now)
        told = {"": "", "next": " taken", "former": " former"}[which]
        self.tell(who, f"login{told}")

    def _take(self, account: Account, other: Other, now: int) -> None:
        """A next secret takes the place of the one before; a one-time password is gone then."""
        if account.one_time:
            self.end_sessions(account.key)
        account.other = None if account.one_time else other
        other.secret, account.secret = account.secret, other.secret
        other.former, account.one_time = True, False
        account.made, account.promised = other.made, other.made + words.age(now)
        account.former.append(account.secret)
        account.number += 1

    def works(self, token: str, now: int, *, restricted_too: bool) -> str:
        """Return why a call with this token is refused, or ""."""
        who, since = self.tokens.get(token, (None, now))
        if now - since >= words.TOKEN_MINUTES * MINUTE:
            return "TOKEN_EXPIRED"
        if who is None:
            return "SESSION_UNKNOWN"
        account = self.accounts[who]
        if restricted_too or account.stage(now) not in ("restricted", "blocked"):
            return ""
        if account.one_time:
            return "PASSWORD_MUST_CHANGE"
        return "PASSWORD_BLOCKED" if now >= account.blocks(now) else "PASSWORD_EXPIRED"

    def set(self, who: Key, secret: str, now: int, *, one_time: bool = False) -> None:
        """A person chose a password, or an officer gave one."""
        account = self.accounts[who]
        account.secret, account.made, account.one_time = secret, now, one_time
        account.promised = now + (words.ONE_TIME_HOURS * HOUR if one_time else words.age(now))
        account.number += 1
        account.other = None
        self.end_sessions(who)
        if one_time:
            for place, guessed in self.failures.items():
                if (place[0], place[1]) == who:
                    self._lift(guessed)
        else:
            account.former.append(secret)

    def give(self, who: Key, secret: str, request: str, now: int) -> str:
        """A service account was given its next secret, or the same again; return the word for it."""
        account = self.accounts[who]
        other = account.other
        if other is not None and other.request == request and (other.former or now < other.ends):
            return "repeated"
        ends = now + words.OVERLAP_HOURS * HOUR
        account.other = Other(secret, now, request, ends)
        return "next"

    def refuses_next(self, who: Key, which: str, secret: str, request: str, now: int) -> str:
        """Return why a next secret is not taken, or ""."""
        account = self.accounts[who]
        other = account.other
        if other is not None and other.request == request and (other.former or now < other.ends):
            given = account.secret if other.former else other.secret
            return "" if secret == given else "REQUEST_ID_REUSED"
        if which == "former":
            return "SECRET_REPLACED"
        made = max(account.made, 0 if other is None else other.made)
        soon = not account.one_time and now - made < words.LEAST_HOURS * HOUR
        return "PASSWORD_WEAK" if soon or secret in account.former else ""

    def too_soon(self, who: Key, now: int) -> bool:
        """Whether a password was chosen less than a day ago."""
        account = self.accounts[who]
        return not account.one_time and now - account.made < words.LEAST_HOURS * HOUR

    def unlock(self, who: Key) -> None:
        """An officer lifted what was counted against an account."""
        for place, guessed in self.failures.items():
            if (place[0], place[1]) == who:
                self._lift(guessed)

    def turn(self, who: Key, state: str, now: int) -> None:
        """An officer suspended an account, or let it be used again."""
        account = self.accounts[who]
        account.state, account.told_unused = state, False
        if state == "active":
            account.used = max(account.used, now)
        self.end_sessions(who)

    def end_sessions(self, who: Key) -> None:
        """Void every token of an account."""
        self.tokens = {token: held for token, held in self.tokens.items() if held[0] != who}

    def _lift(self, guessed: Failures) -> None:
        guessed.count, guessed.blocked_until, guessed.locked = 0, 0, False
        guessed.times.clear()

    # --- what time does ---------------------------------------------------------------------------

    def hour_passes(self, now: int) -> list[Key]:
        """Tell what the supervisor tells; return of whom."""
        told = []
        for key, account in self.accounts.items():
            stage = account.stage(now) if account.state == "active" else ""
            what = {"warned": f"warned {min(account.warnings(now), default=0)}"}.get(stage, stage)
            late = now >= account.ends(now)
            news = stage == "warned" or (stage in ("restricted", "blocked") and late)
            if news and (account.number, what) not in account.told:
                account.told.add((account.number, what))
                self.tell(key, what)
                told.append(key)
        return told

    def minute_passes(self, now: int) -> None:
        """Tell of who is not there, and disable whom nobody used."""
        for key, account in self.accounts.items():
            if account.state != "active" or now - account.used < words.UNUSED_TOLD_DAYS * DAY:
                continue
            if now - account.used >= words.UNUSED_DAYS * DAY:
                account.state = "unused"
                self.end_sessions(key)
                self.tell(key, "disabled")
            elif not account.told_unused:
                account.told_unused = True
                self.tell(key, "unused")
