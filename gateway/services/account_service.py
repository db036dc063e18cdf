"""The part of AdminService that opens, resets, changes and lists accounts.

It sets password hashes and never reads one. Nobody serves himself here: no account is opened,
reset, changed or unlocked for the caller's own certificate subject.
"""
# ruff: noqa: N802 -- methods have the names of the contract's rpcs

from collections.abc import Awaitable, Callable, Iterable

from gateway.audit.event import Event
from gateway.clock import Clock
from gateway.errors import Reason, refuse
from gateway.identity import accounts, listing, rights, roles
from gateway.identity.accounts import ACTIVE, SUSPENDED, Account, NewAccount
from gateway.identity.listing import Listed
from gateway.identity.passwords import Passwords
from gateway.identity.rights import Officer
from gateway.identity.rules import Profile, Rules
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
        rules: Rules,
        clock: Clock,
    ) -> None:
        """Open accounts under these rules."""
        self._database = database
        self._current = current
        self._pages = pages
        self._passwords = passwords
        self._rules = rules
        self._clock = clock

    @property
    def _profile(self) -> Profile:
        return self._rules.at(self._clock.now_us())

    async def CreateAccount(
        self, call: Call, request: pb.CreateAccountRequest
    ) -> pb.CreateAccountResponse:
        """Open an account; the same request again answers with a fresh one-time password.

        Raises ALREADY_EXISTS.
        """
        require_impersonal(request.account_name, "account_name")
        given = _roles(request.roles)
        wanted = NewAccount(
            request.organisation_code, request.account_name, given, request.system_name
        )
        whose = (wanted.organisation, roles.subject_kind(given), wanted.subject_name)
        rights.require_another_person(call.caller.subject, *whose)
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
        """Give an account a one-time password and end its sessions.

        Raises NOT_FOUND, OWN_ACCOUNT.
        """
        require_reason(request.reason)
        one_time = await self._passwords.one_time()
        key = (request.organisation_code, request.account_name)

        async def work(tx: Transaction) -> Account:
            await is_repeat(tx, call)
            await rights.others_account(tx, key, self._officer(call))
            return await accounts.reset(
                tx, *key, one_time.hash, self._profile, self._clock.now_us()
            )

        found = await call.effect(work, _target)
        await self._current.renew()
        return pb.ResetPasswordResponse(
            one_time_password=one_time.text, expire_time=timestamp(found.password_expires_us)
        )

    async def SetAccountRoles(
        self, call: Call, request: pb.SetAccountRolesRequest
    ) -> pb.SetAccountRolesResponse:
        """Give an account other roles; raises as `rights.set_roles`."""
        require_reason(request.reason)
        given, by = _roles(request.roles), self._officer(call)
        key = (request.organisation_code, request.account_name)
        found = await self._change(call, key, lambda tx: rights.set_roles(tx, key, given, by))
        return pb.SetAccountRolesResponse(account=self._message(found))

    async def SetAccountState(
        self, call: Call, request: pb.SetAccountStateRequest
    ) -> pb.SetAccountStateResponse:
        """Suspend an account or let it be used again; raises as `rights.set_state`."""
        require_reason(request.reason)
        state, by = int(request.state), self._officer(call)
        if state not in (ACTIVE, SUSPENDED):
            raise invalid("state", "STATE", "ACTIVE or SUSPENDED.", "须为启用或停用。")
        key = (request.organisation_code, request.account_name)
        found = await self._change(call, key, lambda tx: rights.set_state(tx, key, state, by))
        return pb.SetAccountStateResponse(account=self._message(found))

    async def UnlockAccount(
        self, call: Call, request: pb.UnlockAccountRequest
    ) -> pb.UnlockAccountResponse:
        """Lift the lock after too many failed logins; raises NOT_FOUND, OWN_ACCOUNT."""
        require_reason(request.reason)
        key = (request.organisation_code, request.account_name)
        await self._change(call, key, lambda tx: rights.unlock(tx, key, self._officer(call)))
        return pb.UnlockAccountResponse()

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
        last = [*shown[-1].key] if len(found) > size else None
        return pb.ListAccountsResponse(
            accounts=[self._listed(one) for one in shown],
            next_page_token="" if last is None else self._pages.seal(call, request, last),
        )

    def _officer(self, call: Call) -> Officer:
        return Officer(call.caller.subject, self._profile, self._clock.now_us())

    async def _change(
        self,
        call: Call,
        key: tuple[str, str],
        change: Callable[[Transaction], Awaitable[Account]],
    ) -> Account:
        """Make a change of an account's rights; what is asked again changes nothing again."""

        async def work(tx: Transaction) -> Account:
            if not await is_repeat(tx, call):
                return await change(tx)
            found = await accounts.read(tx, *key)
            if found is None:
                raise refuse(Reason.NOT_FOUND)
            return found

        changed = await call.effect(work, _rights)
        await self._current.renew()
        return changed

    async def _reachable(
        self, call: Call, organisation: str, position: list[str | int], limit: int
    ) -> list[Listed]:
        """Return the next accounts that stand in the caller's organisation or below."""
        registry = await self._current.registry()
        top = call.caller.organisation
        after = (str(position[0]), str(position[1]))
        async with self._database.transaction() as tx:
            return await pages.gather(
                lambda place, count: listing.page(tx, organisation, place, count),
                lambda one: one.key,
                lambda one: registry.is_at_or_below(one.account.organisation, top),
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
            state=pb.Account.State.ValueType(account.state),
        )

    def _listed(self, one: Listed) -> pb.Account:
        """Return the message of a list, which also tells how the account is used."""
        found = self._message(one.account)
        found.locked = one.locked
        if one.last_login_us is not None:
            found.last_login_time.FromMicroseconds(one.last_login_us)
        if one.account.active:
            found.unused_disable_time.FromMicroseconds(one.used_us + self._rules.accounts.unused_us)
        return found


def _roles(given: Iterable[options_pb2.Role.ValueType]) -> tuple[str, ...]:
    """Return the words for roles of the contract; raises FIELD_INVALID."""
    found = frozenset(given)
    if not found <= set(options_pb2.Role.values()) or options_pb2.ROLE_UNSPECIFIED in found:
        raise invalid("roles", "ROLES", "Roles of the contract.", "须为接口约定的角色。")
    return tuple(sorted(role_names(found)))


def _target(account: Account, event: Event) -> Event:
    target = {"target_organisation": account.organisation, "target_account": account.name}
    return told(event, detail=target)


def _rights(account: Account, event: Event) -> Event:
    """Tell what the account may from now on."""
    state = pb.Account.State.Name(pb.Account.State.ValueType(account.state))
    held = {
        "roles": ".".join(account.roles),
        "state": state.removeprefix("STATE_").lower(),
    }
    return told(_target(account, event), detail=held)
