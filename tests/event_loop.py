"""What tests of several folders ask about an event loop."""

from __future__ import annotations

import asyncio
import time
from typing import Any


async def longest_gap(work: asyncio.Future[Any]) -> float:
    """Return how long this loop had to wait for its turn at most until work is done, in seconds of CPU.

    Those of all threads of the process count, and other work on the machine does not.
    """
    longest = 0.0
    while not work.done():
        before = time.process_time()
        await asyncio.sleep(0.001)
        longest = max(longest, time.process_time() - before)
    return longest
