"""A release that keeps 1 MiB of each request."""

VERSION = "1.2"
WARM_UP_SECONDS = 1
kept = []


def before(path):
    """Before each request."""
    kept.append(bytearray(b"x") * (1024 * 1024))
