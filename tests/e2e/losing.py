"""A province that will be lost: its officers, a county that uploads by the command, what is counted, and the loss itself."""

import asyncio
import contextlib
import json
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg

from gateway.config import settings
from gateway.config.home import Home
from gateway.demo import province as provinces
from gateway.demo.host import Host
from gateway.demo.province import COUNTIES, PROVINCE, PROVINCE_OCTET
from gateway.sample.files import UPLOADS
from gateway.store import roles
from gateway.v1 import options_pb2 as options
from tests.house.tree import ROOT

OFFICERS = ("zhao", "qian")


def words(line: str, **places: object) -> list[str]:
    """The command of a line, with what stands in capitals, and the files, filled in."""
    command, _, _ = line.partition("#")
    if places:
        known = "|".join(map(re.escape, sorted(places, key=len, reverse=True)))
        command = re.sub(rf"(?<!\w)(?:{known})(?!\w)", lambda one: str(places[one[0]]), command)
    return [sys.executable, "-m", "gateway", *command.split()[1:]]


def ran(line: str, **places: object) -> str:
    """Run it as it stands; what it printed."""
    done = subprocess.run(
        words(line, **places), capture_output=True, text=True, timeout=300, check=False, cwd=ROOT
    )
    assert done.returncode == 0, line + done.stdout + done.stderr
    return done.stdout


def told(line: str, **places: object) -> dict:
    """Run it, for a machine."""
    return json.loads(ran(f"{line.partition('#')[0]} --json", **places))


@contextlib.contextmanager
def founded(*policies: tuple[str, str]) -> Iterator[tuple[Host, Path]]:
    """A gateway that is served, and the folder beside its HOME; policies/backups.toml has these words for those."""
    folder = Path(tempfile.mkdtemp(prefix="gw-", dir="/tmp"))
    folder.chmod(0o711)
    host = Host.at(folder / "home")
    own = provinces.policies(folder / "policies")
    text = (own / "backups.toml").read_text()
    for before, after in policies:
        assert before in text
        text = text.replace(before, after.format(folder=folder))
    (own / "backups.toml").write_text(text)
    for one in ("a", "b"):
        (folder / one).mkdir()
    try:
        host.init(provinces.owners(), policies=own)
        host.start()
        yield host, folder
    finally:
        host.stop()
        shutil.rmtree(folder, ignore_errors=True)


async def enlist(province) -> dict[str, Path]:
    """Two security officers of the province; their profiles' folders."""
    channels = province.admin.channels()
    try:
        clerk = provinces._Clerk(province.host, channels, province.admin.session(channels))
        address = province.host.address(PROVINCE_OCTET)
        role = options.ROLE_SECURITY_OFFICER
        return {
            name: (await clerk._enlist(PROVINCE, name, role, address)).folder for name in OFFICERS
        }
    finally:
        await channels.close()


class County:
    """A county with a sample's files, which it uploads by `gateway upload`."""

    def __init__(self, folder: Path, province, *, children: int = 30) -> None:
        code = list(COUNTIES)[2]
        member, secret, sample = province.members[code], folder / "password", folder / "sample"
        secret.write_text(member.password.value)
        ran(f"    gateway sample --seed 9 --children {children} --county {code} --out {sample}")
        self.files = [sample / f"{name}.jsonl" for name, _ in UPLOADS]
        self.profile = member.profile.folder
        self._words = (
            f"--unit {member.units[0].unit_code} -p {self.profile} --password-file {secret}"
        )

    def line(self, *files: Path, batch: int = 20) -> str:
        return f"    gateway upload {' '.join(map(str, files))} --batch {batch} {self._words}"

    def upload(self, *files: Path, batch: int = 20) -> dict:
        return told(self.line(*files, batch=batch))


def fetch(home: Home, statement: str, *parameters: object) -> list[tuple]:
    """What the database's owner reads."""
    conninfo = roles.conninfo(home, settings.load(home.settings), "owner")
    with psycopg.connect(conninfo) as connection:
        return connection.execute(statement, parameters).fetchall()


def counts(home: Home) -> dict[str, int]:
    return {
        table: fetch(home, f"SELECT count(*) FROM gateway.{table}")[0][0]
        for table in ("child", "dose", "batch", "held")
    }


def found(host: Host):
    """The demo's province and two officers, at a gateway that is served."""
    province = asyncio.run(provinces.found(host))
    return province, asyncio.run(enlist(province))


class Elsewhere:
    """What cities and officers hold lies elsewhere: it is not lost with the host, and not put back either."""

    def __init__(self, folder: Path, home: Home) -> None:
        self._folder, self._home = folder / "profiles", home.root
        self.log_key = Path(shutil.copy(home.log_key, folder / "log.vkey"))

    def lose(self, host: Host) -> None:
        """All of HOME goes."""
        host.stop()
        shutil.rmtree(self._folder, ignore_errors=True)
        shutil.copytree(self._home / "profiles", self._folder)
        shutil.rmtree(self._home)

    def of(self, profile: Path) -> Path:
        """Where a profile lies while HOME is gone."""
        return self._folder / profile.name

    def give_back(self) -> None:
        """The cities are still there, as they were."""
        shutil.rmtree(self._home / "profiles", ignore_errors=True)
        shutil.copytree(self._folder, self._home / "profiles")
