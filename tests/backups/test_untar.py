"""A tar in pieces of every size says the same; one that is cut, joined, or leads outside is refused."""

import io
import tarfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.backups.errors import BackupError
from gateway.backups.untar import Untar


class Seen:
    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.whole: list[str] = []
        self.name = ""

    def begin(self, info) -> None:
        self.name = info.name
        self.files[info.name] = b""

    def content(self, piece: bytes) -> None:
        self.files[self.name] += piece

    def end(self) -> None:
        self.whole.append(self.name)


def a_tar(files: dict[str, bytes], *links: str, kind: bytes = tarfile.SYMTYPE) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as made:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            made.addfile(info, io.BytesIO(content))
        for name in links:
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, "/etc/passwd"
            made.addfile(info)
    return out.getvalue()


FILES = {"a": b"", "b/c": b"x" * 511, "d": b"y" * 512, "e": b"z" * 1025}


@given(st.lists(st.integers(1, 3000), max_size=20))
def test_pieces_of_every_size_say_the_same(sizes):
    content, seen = a_tar(FILES), Seen()
    untar = Untar(seen)
    for size in [*sizes, len(content)]:
        untar.write(content[:size])
        content = content[size:]
    untar.close()
    assert seen.files == FILES
    assert seen.whole == list(FILES)


@pytest.mark.parametrize("length", [0, 100, 512, 1023, 1500, 4000])
def test_one_that_breaks_off_is_refused(length):
    untar = Untar(Seen())
    with pytest.raises(BackupError, match="breaks off") as caught:
        pushed(untar, a_tar(FILES)[:length])
    assert caught.value.code == "BACKUP_DAMAGED"


@pytest.mark.parametrize(
    "content",
    [
        a_tar({"../etc/shadow": b"x"}),
        a_tar({"a/../../b": b"x"}),
        a_tar({"/etc/shadow": b"x"}),
        a_tar({}, "link"),
        a_tar({}, "link", kind=tarfile.LNKTYPE),
        a_tar({}, "pipe", kind=tarfile.FIFOTYPE),
        a_tar({}, "disk", kind=tarfile.BLKTYPE),
        a_tar({}, "null", kind=tarfile.CHRTYPE),
        a_tar(FILES) + a_tar(FILES),
        b"no tar" * 200,
    ],
    ids=[
        "above",
        "above-later",
        "absolute",
        "link",
        "hard-link",
        "pipe",
        "block",
        "character",
        "two",
        "none",
    ],
)
def test_what_leads_outside_or_is_no_tar_is_refused(content):
    with pytest.raises(BackupError) as caught:
        pushed(Untar(Seen()), content)
    assert caught.value.code == "BACKUP_DAMAGED"


def pushed(untar: Untar, content: bytes) -> None:
    untar.write(content)
    untar.flush()
    untar.close()
