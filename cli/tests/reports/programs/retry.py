"""retry.py PORT PER_SECOND SECONDS: asks a server of this host, and asks five times more when that fails."""
import http.client
import sys
import time

port, pause, end = int(sys.argv[1]), 1 / float(sys.argv[2]), time.monotonic() + float(sys.argv[3])


def ask():
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        connection.request("GET", "/")
        return connection.getresponse().read()
    finally:
        connection.close()


while time.monotonic() < end:
    for attempt in range(6):
        try:
            ask()
            break
        except (OSError, http.client.HTTPException):
            pass
    time.sleep(pause)
