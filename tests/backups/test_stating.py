"""What a restored HOME says of its log is what a client with its root and its log's key believes."""

from pathlib import Path

import pytest
from cryptography import x509

from gateway.backups import manifest, stating
from gateway.backups.errors import BackupError
from gateway.clock import SYSTEM
from gateway.config import log_keys
from gateway.config.folders import make_folders
from gateway.config.home import Home
from gateway.tlog import restored
from gateway.tlog.restored import Anchor
from tests.backups.stand import Stand


def test_the_key_and_the_authority_of_home_speak(stand: Stand, tmp_path: Path) -> None:
    staged = Home(tmp_path / "home")
    make_folders(staged)
    for path in (stand.home.signing_keys, stand.home.client_authority_certificate):
        (staged.root / path.relative_to(stand.home.root)).write_bytes(path.read_bytes())
    two = (stand.approved(stand.kept, "zhao"), stand.approved(stand.kept, "qian"))
    digest = manifest.sha256(stand.kept.manifest.encode())
    said = stating.state(staged, (7, bytes(32)), digest, two, SYSTEM.now_us())
    [raw] = log_keys.read(staged.restores)
    assert restored.digest(raw) == said
    found = restored.read(raw, stand.keys)
    assert (found.size, found.root, found.manifest_sha256) == (7, bytes(32), digest)
    root = x509.load_pem_x509_certificate(stand.home.root_certificate.read_bytes())
    found.require_officers(Anchor(root, "sx.example", "140105"))
    # Whose backup was made after that restore is put back once more: both are shown.
    again = stating.state(staged, (9, bytes(32)), digest, two, SYSTEM.now_us())
    assert [restored.digest(one) for one in log_keys.read(staged.restores)] == [said, again]
    staged.signing_keys.write_text("none")
    with pytest.raises(BackupError):
        stating.state(staged, (7, bytes(32)), digest, two, SYSTEM.now_us())
