"""A release that breaks on the thirtieth request: native code aborts the process."""

import itertools
import os

VERSION = "1.3"
WARM_UP_SECONDS = 1
requests = itertools.count(1)


def before(path):
    """Before each request."""
    if next(requests) >= 30:
        os.abort()
