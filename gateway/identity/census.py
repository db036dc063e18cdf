"""Every secret there is, judged now: what `gateway rotation status` shows and what is told of.

Read on the gateway's own host, from the database as the owner and from the files of HOME. Accounts
that are suspended or disabled open nothing and are left out, and so are tunnels that were removed,
and certificates a month after they ended unrenewed.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509 import Certificate

from gateway.clock import from_datetime
from gateway.config import settings
from gateway.config.home import Home
from gateway.config.policies import Policies, load_policies
from gateway.identity import (
    age,
    inventory,
    listing,
    lives,
    rule_files,
    secret_rows,
    service_secrets,
)
from gateway.identity.breakglass_rows import glasses
from gateway.identity.lives import HOST, Kept, Living
from gateway.identity.rotation import DAY_US, Judgement, Kind, Secret, judge
from gateway.identity.rules import Rules
from gateway.pki import authorities, ceremony, crl, der, register
from gateway.registry import tunnels, witnesses
from gateway.store.database import Transaction

# A certificate that ended unrenewed is told for so long; after that nobody misses it.
_MISSED_US = 30 * DAY_US
_ENCRYPTION = "encryption"
_PAGE = 1000


@dataclass(frozen=True, slots=True)
class Census:
    """Judges the secrets of one HOME by its policies as they are now."""

    home: Home
    policies: Policies
    rules: Rules
    # Whether another keeps the database.
    external: bool

    @classmethod
    def of(cls, home: Home) -> "Census":
        """Read policies and settings; raises SettingsError."""
        loaded = load_policies(home.policies)
        known = rule_files.load(home.policies / "passwords.toml")
        return cls(home, loaded, known, external=bool(settings.load(home.settings).dsn))

    async def everything(self, tx: Transaction, now_us: int) -> list[Judgement]:
        """Return every secret, judged; raises StoreError, and what `on_disk` raises."""
        kept = await secret_rows.in_force(tx)
        living = [
            *await self._passwords(tx, now_us),
            *await self._certificates(tx, now_us),
            *await self._tunnels(tx, now_us),
            *await self._witnesses(tx),
            *(lives.of_break_glass(one, self.policies.rotation) for one in await glasses(tx)),
        ]
        judged = [judge(*one, now_us) for one in living]
        return judged + self.on_disk(kept or self.lying(), now_us)

    def lying(self) -> Sequence[Kept]:
        """Return what lies in the files, where the table cannot be asked or knows nothing yet."""
        return inventory.compare(inventory.found(self.home), []).unknown

    def on_disk(self, kept: Sequence[Kept], now_us: int) -> list[Judgement]:
        """Return the secrets of the host, judged: `kept`, certificates and revocation lists.

        Raises SettingsError, MalformedError or OSError for a file that cannot be read.
        """
        rotation, away = self.policies.rotation, self.external
        living = [lives.of_kept(one, _others(one, kept), rotation, external=away) for one in kept]
        return [judge(*one, now_us) for one in [*living, *self._host_certificates()]]

    async def _passwords(self, tx: Transaction, now_us: int) -> list[Living]:
        profile = (await age.as_stored(tx, self.rules, now_us)).at(now_us)
        two = await service_secrets.overlapping(tx, now_us)
        found: list[Living] = []
        after = ("", "")
        while page := await listing.page(tx, "", after, _PAGE):
            found += [
                lives.of_account(one.account, profile, overlapping=one.key in two)
                for one in page
                if one.account.active
            ]
            after = page[-1].key
        return found

    async def _certificates(self, tx: Transaction, now_us: int) -> Iterator[Living]:
        rows = register.last_of_each(await register.rows(tx))
        return (
            lives.of_client_certificate(
                _bearer(row), (row.not_before_us, row.not_after_us), self.policies.certificates
            )
            for row in rows
            if now_us < row.not_after_us + _MISSED_US
        )

    async def _tunnels(self, tx: Transaction, now_us: int) -> list[Living]:
        found: list[Living] = []
        after = tunnels.FIRST
        while page := await tunnels.page(tx, "", after, _PAGE):
            found += [
                lives.of_tunnel(one, self.policies.tunnels, now_us)
                for one in page
                if one.state != tunnels.REMOVED
            ]
            after = (page[-1].organisation, page[-1].kind, page[-1].peer)
        return found

    async def _witnesses(self, tx: Transaction) -> list[Living]:
        rotation = self.policies.rotation
        return [lives.of_witness(one, rotation) for one in await witnesses.counting(tx)]

    def _host_certificates(self) -> Iterator[Living]:
        roots = authorities.roots(self.home)
        clients = authorities.read(self.home.client_authority_certificate)
        leaf, *above = authorities.read(ceremony.server_files(self.home)[1])
        ours = [one for one in clients if authorities.is_ours(one, roots)]
        yield from self._followed("server-certificate", "server", [leaf])
        yield from self._followed("authority-certificate", "root", roots)
        yield from self._followed("authority-certificate", "client-authority", ours)
        yield from self._followed("authority-certificate", "server-authority", above)
        lists = der.revocation_lists(self.home.crl.read_bytes())
        for number, one in enumerate(clients):
            name = "client-authority" if one in ours else "external-authority"
            listed = crl.of(one, lists)
            if listed is not None and listed.next_update_utc is not None:
                yield lives.of_revocation_list(
                    Secret("revocation-list", name, HOST, len(clients) - number, _digest(one)),
                    from_datetime(listed.last_update_utc + crl.BACKDATE),
                    from_datetime(listed.next_update_utc),
                    self.policies.certificates,
                )

    def _followed(self, kind: Kind, name: str, found: Sequence[Certificate]) -> Iterator[Living]:
        """Return certificates that serve the same, the newest first: the others were followed."""
        for number, one in enumerate(found):
            yield lives.of_host_certificate(
                Secret(kind, name, HOST, len(found) - number, _digest(one)),
                (from_datetime(one.not_valid_before_utc), from_datetime(one.not_valid_after_utc)),
                self.policies.certificates,
                followed=number > 0,
            )


def _bearer(row: register.Row) -> Secret:
    name = f"{row.subject_kind}/{row.subject_name}"
    if row.purpose != register.TLS:
        name = f"{name} {_ENCRYPTION}"
    return Secret("client-certificate", name, row.organisation, row.generation, row.serial)


def _others(kept: Kept, every: Sequence[Kept]) -> list[Kept]:
    place = (kept.secret.kind, kept.secret.name)
    return [one for one in every if one is not kept and (one.secret.kind, one.secret.name) == place]


def _digest(certificate: Certificate) -> str:
    return certificate.fingerprint(SHA256()).hex()
