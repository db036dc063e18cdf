"""Work that can wait gives way to the doors: cities wait for an answer, nobody for a backup."""

import contextlib
import os

# Nice 10 weighs a ninth of nice 0 (sched(7)): it gets on, also when all is busy.
NICE = 10


def give_way(group: int) -> None:
    """Lower the priority of a process group that has just been started, of all that it starts too.

    Linux (autogroup, sched(7)) weighs within one session: the group must be of the supervisor's.
    """
    with contextlib.suppress(ProcessLookupError):  # it ended at once
        own = os.getpriority(os.PRIO_PROCESS, 0)
        os.setpriority(os.PRIO_PGRP, group, max(NICE, own))
