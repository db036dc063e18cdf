"""The part of AdminService that opens and resets accounts.

It sets password hashes and never reads one.
"""
# ruff: noqa: N802 -- methods have the names of the contract's rpcs

from gateway.audit.event import Event
from gateway.clock import Clock
from gateway.identity import accounts
from gateway.identity.accounts import Account, NewAccount
from gateway.identity.passwords import Passwords
from gateway.identity.rules import Profile
from gateway.services import pages
from gateway.services.access import role_names
from gateway.services.call import Call, told
from gateway.services.current import Current
from gateway.services.pages import Pages
from gateway.services.repeats import is_repeat
from gateway.services.requests import invalid, require_impersonal, require_reason
from gateway.services.times import timestamp
from gateway.store.database import Database, Transaction
from gateway.v1 import admin_service_pb2 as pb
from gateway.v1 import options_pb2


class AccountService:
    """Serves the accounts' rpcs of gateway.v1.AdminService."""

    def __init__(
        self,
        database: Database,
        current: Current,
        pages: Pages,
        passwords: Passwords,
        profile: Profile,
        clock: Clock,
    ) -> None:
        """Open accounts under this password profile."""
        self._database = database
        self._current = current
        self._pages = pages
        self._passwords = passwords
        self._profile = profile
        self._clock = clock

    async def CreateAccount(
        self, call: Call, request: pb.CreateAccountRequest
    ) -> pb.CreateAccountResponse:
        """Open an account; the same request again answers with a fresh one-time password.

        Raises ALREADY_EXISTS.
        """
        require_impersonal(request.account_name, "account_name")
        given = frozenset(request.roles)
        if not given <= set(options_pb2.Role.values()) or options_pb2.ROLE_UNSPECIFIED in given:
            raise invalid("roles", "ROLES", "Roles of the contract.", "须为接口约定的角色。")
        roles = tuple(sorted(role_names(given)))
        wanted = NewAccount(
            request.organisation_code, request.account_name, roles, request.system_name
        )
        one_time = await self._passwords.one_time()

        async def work(tx: Transaction) -> Account:
            now_us = self._clock.now_us()
            if not await is_repeat(tx, call):
                return await accounts.create(tx, wanted, one_time.hash, self._profile, now_us)
            key = (wanted.organisation, wanted.name)
            return await accounts.reset(tx, *key, one_time.hash, self._profile, now_us)

        made = await call.effect(work, _target)
        return pb.CreateAccountResponse(
            one_time_password=one_time.text, expire_time=timestamp(made.password_expires_us)
        )

    async def ResetPassword(
        self, call: Call, request: pb.ResetPasswordRequest
    ) -> pb.ResetPasswordResponse:
        """Give an account a one-time password and end its sessions; raises NOT_FOUND."""
        require_reason(request.reason)
        one_time = await self._passwords.one_time()
        key = (request.organisation_code, request.account_name)

        async def work(tx: Transaction) -> Account:
            await is_repeat(tx, call)
            return await accounts.reset(
                tx, *key, one_time.hash, self._profile, self._clock.now_us()
            )

        found = await call.effect(work, _target)
        await self._current.renew()
        return pb.ResetPasswordResponse(
            one_time_password=one_time.text, expire_time=timestamp(found.password_expires_us)
        )

    async def ListAccounts(
        self, call: Call, request: pb.ListAccountsRequest
    ) -> pb.ListAccountsResponse:
        """List accounts by organisation and name.

        All within the caller's reach when no organisation is named.
        """
        size = pages.size(request)
        position = self._pages.position(call, request) or ["", ""]
        found = await self._reachable(call, request.organisation_code, position, size + 1)
        shown = found[:size]
        call.note(counts={"accounts": len(shown)})
        last = [shown[-1].organisation, shown[-1].name] if len(found) > size else None
        return pb.ListAccountsResponse(
            accounts=[self._message(account) for account in shown],
            next_page_token="" if last is None else self._pages.seal(call, request, last),
        )

    async def _reachable(
        self, call: Call, organisation: str, position: list[str | int], limit: int
    ) -> list[Account]:
        """Return the next accounts that stand in the caller's organisation or below."""
        registry = await self._current.registry()
        top = call.caller.organisation
        after = (str(position[0]), str(position[1]))
        async with self._database.transaction() as tx:
            return await pages.gather(
                lambda place, count: accounts.page(tx, organisation, place, count),
                lambda one: (one.organisation, one.name),
                lambda one: registry.is_at_or_below(one.organisation, top),
                after,
                limit,
            )

    def _message(self, account: Account) -> pb.Account:
        return pb.Account(
            organisation_code=account.organisation,
            account_name=account.name,
            roles=[options_pb2.Role.Value(f"ROLE_{role.upper()}") for role in account.roles],
            system_name=account.subject_name,
            password_set_time=timestamp(account.password_set_us),
            password_expire_time=timestamp(account.ends_us(self._profile)),
            must_change=account.must_change,
        )


def _target(account: Account, event: Event) -> Event:
    target = {"target_organisation": account.organisation, "target_account": account.name}
    return told(event, detail=target)
