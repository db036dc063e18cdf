import pytest

from gateway.backups.errors import BackupError
from gateway.cli import backup_files
from gateway.cli.output import CommandError, Output
from gateway.config.home import Home


def test_keys_come_from_a_home_or_from_a_line(founded: Home, tmp_path) -> None:
    by_home = backup_files.trusted(founded.root, None)
    assert by_home.newest == backup_files.trusted(None, founded.log_key).newest
    for both in ((None, None), (founded.root, founded.log_key)):
        with pytest.raises(CommandError) as caught:
            backup_files.trusted(*both)
        assert caught.value.code == "USAGE"
    (tmp_path / "key").write_text("no key")
    with pytest.raises(CommandError) as caught:
        backup_files.trusted(None, tmp_path / "key")
    assert caught.value.code == "KEY_FORM"


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_a_refusal_is_told_in_words(lang) -> None:
    output = Output(lang)
    with pytest.raises(CommandError) as caught, backup_files.told(output):
        raise BackupError("BACKUP_DAMAGED", "the tar breaks off")
    assert caught.value.code == "BACKUP_DAMAGED"
    assert str(caught.value).startswith(output.text("backup.code.BACKUP_DAMAGED"))
    assert "the tar breaks off" in str(caught.value)
