"""A release that accepts requests and does not answer them: every thread waits for a lock that nobody gives back."""

import threading

VERSION = "1.5"
WARM_UP_SECONDS = 1
lock = threading.Lock()


def before(path):
    """Before each request."""
    lock.acquire()
