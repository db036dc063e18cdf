"""[P1] The told story: every promise of the demo's table is kept, with few children."""

import asyncio
import io
import shutil
import tempfile
from pathlib import Path

import pytest
from rich.console import Console

from gateway.demo.story import Teller, tell


@pytest.mark.serial
@pytest.mark.timeout(240)
def test_every_line_of_the_demo_is_as_promised():
    out = io.StringIO()
    teller = Teller("en", Console(file=io.StringIO()), Console(file=out, width=160))
    folder = Path(tempfile.mkdtemp(prefix="gateway-story-", dir="/tmp"))
    folder.chmod(0o711)
    try:
        kept = asyncio.run(tell(teller, folder, 300))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    assert kept, out.getvalue()
    assert "✗" not in out.getvalue()
