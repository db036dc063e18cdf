"""The embedded cluster as a run of a keeper; its server may have outlived a supervisor."""

import asyncio

from gateway.store.embedded import Cluster

_WATCH_S = 0.2


class PostgresRun:
    """One run of the cluster's server; made by `start`."""

    def __init__(self, cluster: Cluster, pid: int, *, adopted: bool) -> None:
        """Hold a server that is ready."""
        self.pid = pid
        self.adopted = adopted
        self._cluster = cluster

    @classmethod
    async def start(cls, cluster: Cluster) -> "PostgresRun":
        """Start or adopt the server and wait until it is ready; raises ClusterError."""
        adopted = await asyncio.to_thread(cluster.start)
        return cls(cluster, cluster.pid() or 0, adopted=adopted)

    async def ready(self) -> bool:
        """Return whether the server still runs: `start` waited for it."""
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
        return 0

    def _runs(self) -> bool:
        return self._cluster.pid() == self.pid
