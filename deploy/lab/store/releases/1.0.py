"""A release that works."""

VERSION = "1.0"
WARM_UP_SECONDS = 1


def before(path):
    """Before each request."""
