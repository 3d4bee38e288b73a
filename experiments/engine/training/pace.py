"""Number of training steps per call: enough that the host does not matter, few enough to stop soon."""

import time

from experiments.engine.process import hosts

LIMIT = 512  # most steps per call: their scalars stay on the device until it ends
_SECONDS = 1.0  # per call, about


class Pace:
    """Chooses lengths of calls from the durations of earlier ones; results do not depend on them.

    Args:
        limit: most steps per call, >= 1.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._length, self._last = 1, None

    def next(self, at_most: int) -> int:
        """Steps that the next call should make; several processes agree on the number of the first one."""
        return min(hosts.from_first(self._length), at_most)

    def settled(self, count: int, began: float) -> float:
        """To be called when a call has ended; returns its duration in seconds.

        Args:
            count: steps that it made.
            began: when it was started [s], which may have been before the one before it ended (`time.monotonic`).
        """
        now = time.monotonic()
        seconds = now - (began if self._last is None else max(began, self._last))
        if self._last is not None:  # the first one compiles
            fitting = _SECONDS * count / max(seconds, 1e-9)
            self._length = int(max(1, min(fitting, 2 * self._length, self.limit)))
        self._last = now
        return seconds
