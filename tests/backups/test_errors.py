from gateway.backups.errors import BackupError


def test_it_has_a_code_for_machines_and_a_text_for_people():
    error = BackupError("BACKUP_DAMAGED", "the tar breaks off")
    assert (error.code, str(error)) == ("BACKUP_DAMAGED", "the tar breaks off")
