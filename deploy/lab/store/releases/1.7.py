"""A release that works, and takes a fifth of a second longer for each request: a lookup that was in memory before."""

import time

VERSION = "1.7"
WARM_UP_SECONDS = 1


def before(path):
    """Before each request."""
    time.sleep(0.2)
