"""A release that works, after a long warm-up."""

VERSION = "1.6"
WARM_UP_SECONDS = 12


def before(path):
    """Before each request."""
