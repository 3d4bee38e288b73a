"""How many training steps one call makes: enough that the host does not matter, few enough to stop soon."""

import time

from experiments.engine import hosts

LIMIT = 512  # steps a call at most: what they log is kept on the device until it ends
_SECONDS = 1.0  # a call, about


class Pace:
    """Chooses lengths of calls from the time that those before took; results do not depend on them.

    Args:
        limit: steps a call at most, >= 1.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._length, self._last = 1, None

    def next(self, at_most: int) -> int:
        """Steps that the next call should make; several processes agree on what the first one says."""
        return min(int(hosts.agree([self._length])[0, 0]), at_most)

    def settled(self, count: int) -> None:
        """To be called when a call of `count` steps has ended."""
        now = time.monotonic()
        if self._last is not None:
            fitting = _SECONDS * count / max(now - self._last, 1e-9)
            self._length = int(max(1, min(fitting, 2 * self._length, self.limit)))
        self._last = now
