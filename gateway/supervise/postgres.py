"""The embedded cluster as a run of a keeper; its server may have outlived a supervisor."""

import asyncio

from gateway import log
from gateway.store.embedded import Cluster, ClusterError

_WATCH_S = 0.2
_LOG = log.get("postgres")


class PostgresRun:
    """One run of the cluster's server; made by `start`. `pid` is 0 when it did not come up."""

    def __init__(self, cluster: Cluster, pid: int, *, adopted: bool) -> None:
        """Hold a server that is ready, or none."""
        self.pid = pid
        self.adopted = adopted
        self._cluster = cluster

    @classmethod
    async def start(cls, cluster: Cluster) -> "PostgresRun":
        """Start or adopt the server and wait until it is ready."""
        try:
            adopted = await asyncio.to_thread(cluster.start)
        except ClusterError as error:
            _LOG.error("database not started", why=str(error))
            return cls(cluster, 0, adopted=False)
        return cls(cluster, cluster.pid() or 0, adopted=adopted)

    async def ready(self) -> bool:
        """Return whether the server runs: `start` waited for it."""
        return self._runs()

    async def ended(self) -> int:
        """Wait for its end."""
        # An adopted server is nobody's child: it can be looked at, not waited for.
        while self._runs():  # noqa: ASYNC110  the pid file tells nobody
            await asyncio.sleep(_WATCH_S)
        return 1

    async def finish(self) -> int:
        """Stop it: everything is written first; raises ClusterError when it does not stop."""
        await asyncio.to_thread(self._cluster.stop)
        return 0 if self.pid else 1

    def _runs(self) -> bool:
        return self.pid != 0 and self._cluster.pid() == self.pid
