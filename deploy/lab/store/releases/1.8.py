"""A release that takes three seconds for each request: none of those who ask wait that long."""

import time

VERSION = "1.8"
WARM_UP_SECONDS = 1


def before(path):
    """Before each request."""
    time.sleep(3)
