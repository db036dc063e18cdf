"""A program of PostgreSQL gets one role's password by a file that is gone afterwards."""

from gateway.store import passfile, roles


def test_it_is_private_names_one_role_and_goes(cluster) -> None:
    home = cluster.home
    left = home.password_file("backup").with_name("backup.pgpass")
    left.write_text("left by a command that was killed")
    with passfile.written(home, "backup") as path:
        assert path == left
        assert path.stat().st_mode & 0o777 == 0o600
        password = home.password_file("backup").read_text()
        assert path.read_text() == f"*:*:*:{roles.role_name('backup')}:{password}\n"
    assert not path.exists()
