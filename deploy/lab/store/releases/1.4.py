"""A release whose every page but the health check fails."""

VERSION = "1.4"
WARM_UP_SECONDS = 1


def before(path):
    """Before each request; the server answers 500 to what it raises."""
    raise KeyError("price")
