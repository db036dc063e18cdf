"""What of HOME is copied: the signer's state first, owners by name, no socket, no file in passing."""

import io
import os
import pwd
import tarfile

from gateway.backups import homefiles
from tests.backups.stand import Stand


def test_the_tar_has_every_file_with_owner_and_mode(stand: Stand) -> None:
    passing = stand.home.password_file("backup.pgpass")
    passing.write_text("x")
    try:
        with tarfile.open(fileobj=io.BytesIO(homefiles.tar(stand.home))) as tar:
            found = {one.name: one for one in tar}
            for name, info in found.items():
                path = stand.home.root / name
                file = tar.extractfile(info)
                assert file is not None
                assert file.read() == path.read_bytes()
                assert info.mode == path.stat().st_mode & 0o7777
                assert info.uname == pwd.getpwuid(path.stat().st_uid).pw_name
    finally:
        passing.unlink()
    assert next(iter(found)) == "secrets/signer/state"
    assert "secrets/database/backup.pgpass" not in found
    assert not {name.split("/")[0] for name in found} & homefiles.LEFT_OUT
    everything = {one.name for one in os.scandir(stand.home.root)} - homefiles.LEFT_OUT
    assert {name.split("/")[0] for name in found} == everything


def test_what_grows_by_itself_is_no_change(stand: Stand) -> None:
    before = homefiles.lasting(stand.home)
    stand.sql("SELECT 1")
    assert homefiles.lasting(stand.home) == before
    assert "secrets/signer/state" not in before
    assert "secrets/signer/log.skey" in before


def test_an_admin_who_works_meanwhile_spoils_no_backup(stand: Stand) -> None:
    """A login writes a token and a checkpoint into the first admin's profile."""
    before, mine = homefiles.lasting(stand.home), stand.home.admin_profile
    token, certificate = mine / "token.json", mine / "certificate.pem"
    content = certificate.read_bytes()
    try:
        token.write_text("{}")
        assert homefiles.lasting(stand.home) == before
        certificate.write_bytes(content + b"\n")
        assert homefiles.lasting(stand.home) != before
    finally:
        certificate.write_bytes(content)
        token.unlink()
