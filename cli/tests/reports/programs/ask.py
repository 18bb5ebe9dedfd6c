"""ask.py HOST PORT PATH PER_SECOND SECONDS [PATIENCE]: one connection a request, on which it waits for 2 s or so long; prints how often it got
what."""
import collections
import http.client
import sys
import time

host, port, path = sys.argv[1], int(sys.argv[2]), sys.argv[3]
pause, end = 1 / float(sys.argv[4]), time.monotonic() + float(sys.argv[5])
patience = float(sys.argv[6]) if len(sys.argv) > 6 else 2
got = collections.Counter()
while time.monotonic() < end:
    connection = http.client.HTTPConnection(host, port, timeout=patience)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        answer.read()
        got[str(answer.status)] += 1
    except (OSError, http.client.HTTPException) as error:
        got[type(error).__name__] += 1
    connection.close()
    time.sleep(pause)
print(dict(got), flush=True)
