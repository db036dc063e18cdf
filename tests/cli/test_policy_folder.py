"""The folder that was meant, and what cannot be opened."""

import shutil

import pytest

from gateway.cli.output import CommandError
from gateway.cli.policy_folder import cedar_of, opened
from gateway.config.policies import shipped


def test_a_home_its_policies_or_a_folder(tmp_path):
    shutil.copytree(shipped("policies"), tmp_path / "policies")
    cedar = tmp_path / "policies" / "cedar"
    assert cedar_of(tmp_path) == cedar_of(tmp_path / "policies") == cedar_of(cedar) == cedar
    assert cedar_of(None) == shipped("policies") / "cedar"


def test_what_cannot_be_opened_has_its_code(tmp_path):
    with pytest.raises(CommandError) as raised:
        opened(tmp_path)
    assert raised.value.code == "POLICY_INVALID"
