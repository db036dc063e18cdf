"""For every attack: whatever was logged or printed while it was tried holds no key, no password and no token."""

import re
from collections.abc import Generator

import pytest

from tests.world import PASSWORD

# A key in PEM; the people's password; the head of every token of ours ({"alg": …, base64url).
SECRETS = re.compile(rf"PRIVATE KEY|{re.escape(PASSWORD)}|eyJhbGciOi")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Fail a test that passed and let a secret out; what a test reads itself (capfd) it judges itself."""
    report = yield
    if report.passed and "tests/attacks/" in item.nodeid:
        found = SECRETS.search(report.capstdout + report.capstderr)
        if found:
            report.outcome = "failed"
            report.longrepr = f"a secret in the log, beginning with {found[0][:4]!r}"
    return report
