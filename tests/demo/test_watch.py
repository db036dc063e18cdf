import asyncio

import pytest

from gateway.demo.strangers import knock
from gateway.demo.watch import Watch


@pytest.mark.serial
def test_the_officer_finds_the_one_leaf_of_a_refused_connection(province):
    async def look():
        channels = province.auditor.channels()
        try:
            watch = Watch(channels, province.auditor.session(channels))
            before = await watch.newest()
            assert await knock(province, province.host.address(1), None) == "thrown out"
            return before, await watch.after(before, reason="CERT_MISSING")
        finally:
            await channels.close()

    before, found = asyncio.run(look())
    assert len(found) == 1
    assert found[0].index > before
    assert found[0].fields["decision"] == "deny"
