"""The file of retired authorities: each with its leaf, readable by whoever reads PEM, kept once."""

import pytest

from gateway.clock import SYSTEM
from gateway.config.strict import SettingsError
from gateway.pki import authorities, issue, retired


def certificates(count):
    now_us = SYSTEM.now_us()
    return [issue.make_root(f"root {number}", now_us).certificate for number in range(count)]


def test_each_is_kept_once_with_its_leaf(tmp_path) -> None:
    path, (one, two) = tmp_path / "former.pem", certificates(2)
    assert retired.read(path) == []
    retired.keep(path, one, 5)
    retired.keep(path, two, 9)
    # Trusted again, and retired again.
    retired.keep(path, one, 12)
    assert [(each.certificate, each.leaf) for each in retired.read(path)] == [(one, 12), (two, 9)]
    assert authorities.read(path) == [one, two]


def test_those_of_before_are_dated_once(tmp_path) -> None:
    path, (one, two) = tmp_path / "former.pem", certificates(2)
    assert retired.date(path, 4) == 0
    assert not path.exists()
    retired.keep(path, one, 5)
    undated = path.read_bytes().split(b"\n", 1)[1]
    path.write_bytes(undated)
    assert [each.leaf for each in retired.read(path)] == [None]
    retired.keep(path, two, 9)
    assert retired.date(path, 12) == 1
    assert retired.date(path, 30) == 0
    assert [each.leaf for each in retired.read(path)] == [12, 9]


def test_what_is_no_certificate_is_refused(tmp_path) -> None:
    path = tmp_path / "former.pem"
    path.write_text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    with pytest.raises(SettingsError, match="former"):
        retired.read(path)
