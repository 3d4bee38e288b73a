"""The toy experiment without its report, which is slow: python -m tests.experiments.multihost.quiet ARGUMENT..."""

import sys
import types

from tests.experiments.engine import toy

if __name__ == "__main__":
    sys.modules["experiments.engine.record.summary"] = types.SimpleNamespace(build=lambda *args, **kwargs: None)
    sys.exit(toy.main())
