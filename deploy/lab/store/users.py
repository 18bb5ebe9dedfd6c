"""The store's users: browsers that ask, read and think, each over a connection that it keeps a while.

They know nothing of the product and write one JSON line for each request: when it was sent (UNIX time), what was asked,
the status, or the error, and how many seconds it took.
"""

import argparse
import http.client
import json
import random
import threading
import time

TIMEOUT_SECONDS = 5.0
THINKS_SECONDS = 2.0
REQUESTS_OF_A_CONNECTION = 20


class Log:
    """The users' log, whole lines only."""

    def __init__(self, path):
        self.file = open(path, "a", buffering=1, encoding="utf-8")
        self.lock = threading.Lock()

    def write(self, **entry):
        with self.lock:
            self.file.write(json.dumps(entry) + "\n")


class Browser:
    """One user with one connection. A kept connection that turns out to be closed is opened again, as browsers do."""

    def __init__(self, host, port, log, chance):
        self.address, self.log, self.chance = (host, port), log, chance
        self.connection, self.requests = None, 0

    def close(self):
        if self.connection:
            self.connection.close()
        self.connection, self.requests = None, 0

    def get(self, path):
        kept = self.connection is not None
        try:
            return self.get_once(path)
        except (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError):
            self.close()
            if not kept:
                raise
            return self.get_once(path)

    def get_once(self, path):
        if self.connection is None:
            self.connection = http.client.HTTPConnection(*self.address, timeout=TIMEOUT_SECONDS)
        self.connection.request("GET", path)
        answer = self.connection.getresponse()
        answer.read()
        self.requests += 1
        if answer.will_close or self.requests >= REQUESTS_OF_A_CONNECTION:
            self.close()
        return answer.status

    def visit(self):
        path = self.chance.choice(["/", "/items/{}", "/items/{}", "/basket/{}", "/buy/{}"])
        path = path.format(self.chance.randrange(1000))
        status, error, sent, start = None, None, time.time(), time.monotonic()
        try:
            status = self.get(path)
        except (OSError, http.client.HTTPException) as failure:
            error = type(failure).__name__
            self.close()
        self.log.write(at=sent, ask=path, status=status, error=error, seconds=round(time.monotonic() - start, 4))

    def live(self, until):
        while time.monotonic() < until:
            time.sleep(self.chance.expovariate(1 / THINKS_SECONDS))
            self.visit()


def main():
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--host", required=True)
    arguments.add_argument("--port", type=int, default=30080)
    arguments.add_argument("--rate", type=int, default=20, help="requests a second, all users together")
    arguments.add_argument("--seconds", type=float, default=float("inf"), help="how long they come")
    arguments.add_argument("--log", required=True)
    told = arguments.parse_args()
    log, until = Log(told.log), time.monotonic() + told.seconds
    browsers = [Browser(told.host, told.port, log, random.Random(n)) for n in range(int(told.rate * THINKS_SECONDS))]
    users = [threading.Thread(target=browser.live, args=(until,)) for browser in browsers]
    for user in users:
        user.start()
    for user in users:
        user.join()


main()
