"""A cluster of another's server: its files, started by that server's own programs, to be proven.

Its own configuration may lie elsewhere (Debian's in /etc), or name addresses, libraries, standbys
and files of a host that is gone. So ours lies in HOME/database and is all that counts meanwhile;
in its data folder nothing is another when it is stopped.

Its superuser may have put triggers, functions and libraries into it that run programs here. What
holds them is the server's user, who reads no key of ours; what they started ends with the server.
"""

from collections.abc import Set as AbstractSet
from dataclasses import replace
from pathlib import Path

from psycopg.conninfo import conninfo_to_dict, make_conninfo

from gateway.config.folders import write_private
from gateway.config.home import Home
from gateway.config.settings import Settings
from gateway.config.users import SystemUser, separate, unreachable, user_of
from gateway.store import orphans, programs, roles
from gateway.store.embedded import Cluster, ClusterError, quoted, quoted_folder
from gateway.store.tools import ToolError, Tools

_SETTINGS = """\
listen_addresses = ''
unix_socket_directories = {socket}
unix_socket_permissions = 0770
hba_file = {access}
# Statements and details hold values of rows, which never belong in a log.
log_error_verbosity = terse
log_min_error_statement = panic
log_parameter_max_length_on_error = 0
"""
_ACCESS = "# Nobody is trusted, and there is no network.\nlocal all all scram-sha-256\n"
# Triggers at login are of 17 (its release notes), as is what turns them off: a second wall alone,
# for ALTER DATABASE stands above the command line.
_TRIGGERS, _TRIGGERS_MAJOR = ("-c", "event_triggers=off"), 17
# What ALTER SYSTEM wrote stands above every file: it is read no matter which one is named.
_ALTERED, _ASIDE = "postgresql.auto.conf", "postgresql.auto.conf.aside"


class Guest(Cluster):
    """Another server's cluster, below a HOME or elsewhere; nobody but this HOME's roles gets in."""

    def __init__(self, home: Home, data: Path, folder: Path) -> None:
        """Name its data folder, and the folder of its server's programs; nothing is touched yet."""
        super().__init__(home)
        self.data = data
        self._folder = folder
        self._config = home.database / "guest.conf"
        self._access = home.database / "guest_hba.conf"
        self._before: AbstractSet[orphans.Child] | None = None

    def major(self) -> int:
        """Return the major version of its programs; raises ClusterError."""
        try:
            return programs.major(self.tools(user_of("postgres")))
        except ToolError as error:
            raise ClusterError(str(error)) from error

    def start(self, *, mortal: bool = False) -> bool:
        """Start it as `Cluster`; from now on what it leaves behind is ours to end."""
        if self._before is None:
            self._before = orphans.adopt()
        return super().start(mortal=mortal)

    def stop(self) -> None:
        """Stop it, end what it started, take away what it was started by; raises ClusterError."""
        try:
            super().stop()
        finally:
            if self._before is not None:
                orphans.end(self._before)
                self._before = None
        for path in (self._config, self._access):
            path.unlink(missing_ok=True)
        if (self.data / _ASIDE).exists():
            (self.data / _ASIDE).replace(self.data / _ALTERED)

    def _reachable(self) -> SystemUser:
        user = super()._reachable()
        closed = unreachable(self.data, user)
        if closed is not None:
            raise ClusterError(f"{closed}: user {user.name} cannot enter it: choose another folder")
        return user

    def tools(self, user: SystemUser) -> Tools:
        """Return the server's programs, run as this user; raises ClusterError."""
        try:
            return programs.of_folder(self.home, user, self._folder)
        except ToolError as error:
            raise ClusterError(str(error)) from error

    def _words(self) -> tuple[str, ...]:
        off = _TRIGGERS if self.major() >= _TRIGGERS_MAJOR else ()
        return ("-c", f"config_file={self._config}", *off, *self.options)

    def _write_settings(self, _: SystemUser) -> None:
        text = _SETTINGS.format(
            socket=quoted_folder(self.home.run("postgres")), access=quoted(str(self._access))
        )
        for path, content in ((self._config, text), (self._access, _ACCESS)):
            path.unlink(missing_ok=True)
            write_private(path, content.encode(), "postgres" if separate() else None)
        if (self.data / _ALTERED).exists():
            (self.data / _ALTERED).replace(self.data / _ASIDE)


def inside(home: Home, settings: Settings) -> Settings:
    """Return the settings by which the guest's database is reached: by its socket below HOME."""
    name = conninfo_to_dict(settings.dsn)["dbname"]
    socket = str(home.run("postgres"))
    return replace(
        settings, dsn=make_conninfo("", host=socket, port=roles.SOCKET_PORT, dbname=name)
    )
