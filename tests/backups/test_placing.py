"""Files come where the tar says, each once; the whole way is shown by test_restoring.py."""

from pathlib import Path

from gateway.backups.placing import Placing
from gateway.backups.untar import Untar
from tests.backups.stand import code
from tests.backups.test_untar import FILES, Seen, a_tar


def test_files_are_written_and_another_is_shown_the_same(tmp_path: Path) -> None:
    seen = Seen()
    placing = Placing(tmp_path, also=seen)
    untar = Untar(placing)
    untar.write(a_tar(FILES))
    untar.close()
    assert {name: (tmp_path / name).read_bytes() for name in FILES} == FILES == seen.files
    assert code(lambda: Untar(placing).write(a_tar({"a": b"x"}))) == "BACKUP_DAMAGED"
    assert (tmp_path / "a").read_bytes() == b""


def test_one_that_breaks_off_is_closed(tmp_path: Path) -> None:
    placing = Placing(tmp_path)
    Untar(placing).write(a_tar({"a": b"x" * 600})[:900])
    placing.close()
    assert (tmp_path / "a").read_bytes() == b"x" * 388
