"""A real base backup is whole; without any one of its files or WAL segments, or with another byte, it is not."""

import hashlib
import io
import tarfile

import pytest

from gateway.backups import checking, manifest
from gateway.backups.cluster import LIST_FILE, SEGMENT_BYTES, ClusterCheck, Wal
from gateway.backups.errors import BackupError
from gateway.backups.untar import Untar
from tests.backups.stand import IDENTITY
from tests.backups.test_untar import Seen, a_tar


@pytest.fixture(scope="module")
def files(stand) -> dict[str, bytes]:
    """The files of the stand's base backup, as they were before they were sealed."""
    found, out = checking.read(stand.kept.folder, stand.keys), io.BytesIO()

    class Copy(Seen):
        def begin(self, info) -> None:
            super().begin(info)
            if info.isdir():
                del self.files[info.name]

    seen = Copy()
    checking.unpack(found, manifest.CLUSTER_PART, IDENTITY, seen, lambda *_: out.write(b""))
    return seen.files


def judged(files: dict[str, bytes]):
    check = ClusterCheck()
    untar = Untar(check)
    untar.write(a_tar(files))
    untar.close()
    return check.finish()


def refused(files: dict[str, bytes]) -> str:
    with pytest.raises(BackupError) as caught:
        judged(files)
    return caught.value.code


def test_what_the_server_wrote_is_whole(stand, files) -> None:
    whole = judged(files)
    assert (whole.system, whole.wal) == (stand.kept.manifest.system, stand.kept.manifest.wal)
    assert len(whole.files) > 900
    assert whole.since == ""
    segments = list(whole.wal.segments())
    assert segments
    assert {f"pg_wal/{one}" for one in segments} <= files.keys()


def test_a_missing_or_cut_wal_segment_is_found(stand, files) -> None:
    for name in stand.kept.manifest.wal.segments():
        path = f"pg_wal/{name}"
        rest = {key: value for key, value in files.items() if key != path}
        assert refused(rest) == "BACKUP_WAL_MISSING"
        assert refused({**files, path: files[path][:-512]}) == "BACKUP_WAL_MISSING"


@pytest.mark.parametrize("name", ["global/pg_control", "backup_label", "PG_VERSION"])
def test_a_missing_another_and_a_further_file_are_found(files, name) -> None:
    rest = {key: value for key, value in files.items() if key != name}
    assert refused(rest) == "BACKUP_DAMAGED"
    flipped = bytes([files[name][0] ^ 1]) + files[name][1:]
    assert refused({**files, name: flipped}) == "BACKUP_DAMAGED"
    assert refused({**files, "base/1/further": b""}) == "BACKUP_DAMAGED"


@pytest.mark.parametrize(
    "listed",
    [b"", b"{}", b'{"Manifest-Checksum": "00"}\n', b'"Manifest-Checksum"'],
    ids=["empty", "nothing", "checksum", "no-json"],
)
def test_a_list_that_is_not_the_servers_is_found(files, listed) -> None:
    assert refused({**files, LIST_FILE: listed}) == "BACKUP_DAMAGED"
    other = files[LIST_FILE].replace(b'"WAL-Ranges"', b'"WAL-Range5"')
    assert refused({**files, LIST_FILE: other}) == "BACKUP_DAMAGED"
    rest = {key: value for key, value in files.items() if key != LIST_FILE}
    assert refused(rest) == "BACKUP_DAMAGED"


def test_a_list_of_an_older_server_names_no_cluster_and_its_control_file_does(stand, files) -> None:
    """Before PostgreSQL 17 the list does not say whose files they are."""
    kept = b"".join(
        line
        for line in files[LIST_FILE].splitlines(keepends=True)
        if b"System-Identifier" not in line and b"Manifest-Checksum" not in line
    )
    digest = hashlib.sha256(kept).hexdigest().encode()
    older = {**files, LIST_FILE: kept + b'"Manifest-Checksum": "' + digest + b'"}\n'}
    assert b"System-Identifier" not in older[LIST_FILE]
    assert judged(older).system == stand.kept.manifest.system


def test_segments_are_counted_as_postgresql_names_them() -> None:
    """From the last of one log file of 256 segments into the next; an end at a boundary needs no further one."""
    wal = Wal(2, "1/FF000028", "2/1000000")
    assert list(wal.segments()) == ["0000000200000001000000FF", "000000020000000200000000"]
    assert SEGMENT_BYTES == 0x1000000
    with pytest.raises(BackupError):
        list(Wal(1, "nowhere", "0/1").segments())


def test_it_reads_what_tarfile_reads(files) -> None:
    with tarfile.open(fileobj=io.BytesIO(a_tar(files))) as tar:
        assert {one.name for one in tar} == files.keys()
