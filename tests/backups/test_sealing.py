"""A part is open to its recipients and nobody else, and to nobody once a bit of it is another."""

import io

import pyrage
import pytest

from gateway.backups import recipients, sealing
from gateway.backups.errors import BackupError
from tests.backups.stand import IDENTITY, KEY, RECIPIENT, code

OTHER_KEY, OTHER = recipients.new()
CONTENT = bytes(range(256)) * 1024


def sealed(path, *to: str, content: bytes = CONTENT):
    watched: list[bytes] = []
    part = sealing.seal(io.BytesIO(content), path, to, watched.append)
    assert b"".join(watched) == content
    return part


def opened(path, key=IDENTITY) -> bytes:
    watched: list[bytes] = []
    length, _ = sealing.unseal(path, key, watched.append)
    assert length == len(b"".join(watched))
    return b"".join(watched)


@pytest.mark.parametrize("content", [b"", b"x", CONTENT])
def test_each_recipient_opens_it_and_age_itself_too(tmp_path, content):
    path = tmp_path / "part"
    part = sealed(path, RECIPIENT, OTHER, content=content)
    assert (part.name, part.sealed_bytes, part.plain_bytes) == ("part", path.stat().st_size, len(content))  # fmt: skip
    assert opened(path) == content
    assert (
        pyrage.decrypt(path.read_bytes(), [pyrage.x25519.Identity.from_str(OTHER_KEY)]) == content
    )
    assert path.stat().st_mode & 0o777 == 0o600


def test_another_key_opens_nothing(tmp_path):
    sealed(tmp_path / "part", OTHER)
    assert code(lambda: opened(tmp_path / "part")) == "BACKUP_KEY_WRONG"


@pytest.mark.parametrize("at", [-1, -70_000, 200_000])
def test_a_flipped_bit_is_found(tmp_path, at):
    path = tmp_path / "part"
    sealed(path, RECIPIENT)
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)
    assert code(lambda: opened(path)) == "BACKUP_DAMAGED"


def test_a_cut_file_is_found(tmp_path):
    path = tmp_path / "part"
    sealed(path, RECIPIENT)
    path.write_bytes(path.read_bytes()[:-1])
    assert code(lambda: opened(path)) == "BACKUP_DAMAGED"


def test_what_the_reader_or_the_watcher_raises_comes_out(tmp_path):
    class Broken:
        def read(self, size: int) -> bytes:
            raise LookupError

    def stop(_: bytes) -> None:
        raise BackupError("STOP", "stop")

    with pytest.raises(LookupError):
        sealing.seal(Broken(), tmp_path / "a", [RECIPIENT], lambda _: None)
    sealed(tmp_path / "b", RECIPIENT)
    assert code(lambda: sealing.unseal(tmp_path / "b", IDENTITY, stop)) == "STOP"


def test_an_identity_file_is_read_and_never_quoted(tmp_path):
    path = tmp_path / "key"
    path.write_text(f"# made today\n{KEY}\n")
    assert str(sealing.identity(path).to_public()) == RECIPIENT
    path.write_text(KEY[:-1])
    with pytest.raises(BackupError) as caught:
        sealing.identity(path)
    assert caught.value.code == "BACKUP_RECIPIENT_FORM"
    assert KEY[:20] not in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_recipient_is_of_ages_form():
    assert code(lambda: sealing.recipient("age1nobody")) == "BACKUP_RECIPIENT_FORM"
