"""What must hold for a gateway or a client to work, checked one by one; `gateway doctor` tells it.

A finding's text is the message id `doctor.<check>-<state>` with its parameters.
"""

import shutil
import socket
import stat
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from cryptography import x509

from gateway.client import kept_secret, papers, profile, renewal
from gateway.clock import SYSTEM, from_datetime, iso
from gateway.config import backups, folders, policies, settings, users
from gateway.config.confinement import users_separate
from gateway.config.home import DOORS, LISTENERS, Home
from gateway.config.settings import Settings, SettingsError
from gateway.pki import ceremony
from gateway.policy import bundle, complete, disk
from gateway.policy.bundle import BundleError
from gateway.policy.engine import Engine
from gateway.store import tools
from gateway.supervise import state

State = Literal["good", "bad", "note"]
# Room for the write-ahead log and a day of a province's uploads.
_FREE_BYTES = 5 * 2**30
# A clock before this file was written is wrong.
_EARLIEST_US = 1_790_000_000_000_000
_DAY_US = 86_400_000_000
# A client's certificate lives 14 days, the gateway's own for a year and more.
_OWN_SOON_DAYS, _SOON_DAYS = 3, 14
_CONNECT_S = 3.0
_MINIMUM_PYTHON = (3, 11)


@dataclass(frozen=True, slots=True)
class Finding:
    """One check: its name, how it went, and what its text needs."""

    check: str
    state: State
    about: Mapping[str, object] = field(default_factory=dict)


def _judged(check: str, holds: object, **about: object) -> Finding:
    return Finding(check, "good" if holds else "bad", about)


def of_host() -> Iterator[Finding]:
    """Check this machine."""
    version = ".".join(map(str, sys.version_info[:3]))
    yield _judged("python", sys.version_info >= _MINIMUM_PYTHON, version=version)
    yield _judged("linux", sys.platform == "linux", system=sys.platform)
    yield _judged("clock", SYSTEM.now_us() > _EARLIEST_US)
    try:
        yield _judged("programs", tools.wheel().is_dir())
    except tools.ToolError as error:
        yield Finding("programs", "bad", {"why": error})
    if users.separate():
        yield _judged("useradd", shutil.which("useradd", path="/usr/sbin:/usr/bin:/sbin:/bin"))


def of_home(home: Home) -> Iterator[Finding]:
    """Check a gateway's folder; stops at what makes the rest meaningless."""
    if not home.settings.is_file():
        yield Finding("home", "bad", {"home": home.root})
        return
    owner = home.root.stat().st_uid
    yield _judged("owner", owner == users.current().uid, home=home.root, uid=owner)
    try:
        own = settings.load(home.settings)
        policies.load_policies(home.policies)
    except SettingsError as error:
        yield Finding("settings", "bad", {"why": error})
        return
    yield Finding("settings", "good")
    yield from _of_policies(home)
    yield from _of_folders(home)
    free = shutil.disk_usage(home.root).free
    yield _judged("disk", free >= _FREE_BYTES, gibibytes=free // 2**30)
    yield from _of_places(home)
    yield from _of_ports(home, own)
    yield from _of_certificates(home)
    yield Finding("offline", "note" if any(home.offline.glob("*.key")) else "good")


def _of_places(home: Home) -> Iterator[Finding]:
    """Check the places of backups: there, and not all lost with one disk."""
    folders = backups.load_backup_rules(home.policies / backups.FILE).places.paths
    if not folders:
        yield Finding("places", "note")
    for one in folders:
        yield _judged("place", one.is_dir(), place=one)
    disks = [one.stat().st_dev for one in (home.root, *folders) if one.is_dir()]
    if folders and len(set(disks)) < len(disks):
        yield Finding("disks", "note")


def _of_policies(home: Home) -> Iterator[Finding]:
    """Check that the bundle that lies there compiles, and knows what this version asks of it."""
    try:
        found = bundle.load(disk.folder(home))
        found.rules()
        wrong = complete.told(home, Engine(found).bundle)
    except BundleError as error:
        wrong = [str(error)]
    for why in wrong:
        yield Finding("policies", "bad", {"why": why})
    if not wrong:
        yield Finding("policies", "good")


def of_profile(folder: Path) -> Iterator[Finding]:
    """Check a client's profile, and whether its gateway can be reached."""
    try:
        found = profile.load(folder)
    except profile.ProfileError as error:
        yield Finding("profile", "bad", {"why": error})
        return
    yield Finding("profile", "good", {"folder": folder})
    yield from _of_own(found)
    for door in DOORS:
        address = (found.remote.host, found.remote.ports.of(door))
        try:
            socket.create_connection(address, _CONNECT_S).close()
        except OSError as error:
            yield Finding("door", "bad", {"door": door, "port": address[1], "why": error})
        else:
            yield Finding("door", "good", {"door": door, "port": address[1]})


def _of_own(found: profile.Profile) -> Iterator[Finding]:
    """Check a profile's certificate, and whether its renewals go on."""
    try:
        certificate = papers.read(found.certificate.read_bytes())
    except papers.PapersError as error:
        yield Finding("papers", "bad", {"why": error})
        return
    now_us = SYSTEM.now_us()
    days = (certificate.not_after_us - now_us) // _DAY_US
    age = (now_us - certificate.not_before_us) // _DAY_US
    yield _judged("own", days > _OWN_SOON_DAYS, days=days, age=age)
    kept = renewal.load(found.folder, certificate)
    if kept.failures:
        state: State = "bad" if kept.failing() else "note"
        yield Finding("renewal", state, {"failures": kept.failures})
    elif kept.moment_us:
        yield Finding("renewal", "good", {"moment": iso(kept.moment_us)})
    yield from _of_secret(found.folder)


def _of_secret(folder: Path) -> Iterator[Finding]:
    """Check whether the rotations of a service account's kept secret go on."""
    try:
        kept = kept_secret.load(folder)
    except (OSError, ValueError) as error:
        yield Finding("own-secret", "bad", {"failures": 0, "why": error})
        return
    if kept is not None and kept.refused:
        state: State = "bad" if kept.failing() else "note"
        yield Finding("own-secret", state, {"failures": kept.failures, "why": kept.refused})
    elif kept is not None and kept.moment_us:
        yield Finding("own-secret", "good", {"moment": iso(kept.moment_us)})


def _of_folders(home: Home) -> Iterator[Finding]:
    apart = users_separate(home)
    for one in folders.folders(home):
        wanted = one.mode if apart else 0o700
        # More open than it was made; the owner's own bits are his business.
        if not one.path.is_dir() or stat.S_IMODE(one.path.stat().st_mode) & ~wanted & 0o777:
            yield Finding("folder", "bad", {"path": one.path, "mode": f"{wanted:o}"})
    for path in sorted((home.root / "secrets").rglob("*")):
        if path.is_file() and path.stat().st_mode & 0o077:
            yield Finding("secret", "bad", {"path": path})
    yield Finding("separation", "good" if apart else "note")


def _of_ports(home: Home, own: Settings) -> Iterator[Finding]:
    if state.is_served(home):
        yield Finding("served", "good")
        return
    for address in own.front.listen:
        for door in LISTENERS:
            port = own.ports.of(door)
            family = socket.AF_INET6 if ":" in address else socket.AF_INET
            try:
                with socket.socket(family) as probe:
                    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                    probe.bind((address, port))
            except OSError as error:
                yield Finding("port", "bad", {"address": address, "port": port, "why": error})


def _of_certificates(home: Home) -> Iterator[Finding]:
    yield _certificate("client-authority", home.client_authority_certificate)
    yield _certificate("server", ceremony.server_files(home)[1])


def _certificate(name: str, path: Path) -> Finding:
    end = x509.load_pem_x509_certificate(path.read_bytes()).not_valid_after_utc
    days = (from_datetime(end) - SYSTEM.now_us()) // _DAY_US
    return _judged("certificate", days > _SOON_DAYS, name=name, days=days)
