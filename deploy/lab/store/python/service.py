"""One service of the store as a WSGI application; SERVICE says which: shop asks cart, cart asks redis and stock,
stock asks PostgreSQL, reports computes, cards are there; the dashboard asks for reports. What a release does differently stands in release.py."""

import json
import os
import signal
import sys
import threading
import time
from concurrent import futures

import psycopg2
import redis
import release
import urllib3

SERVICE = os.environ["SERVICE"]
READY_AT = time.monotonic() + release.WARM_UP_SECONDS
local = threading.local()
# Each call has a deadline of its own below that of its caller: nginx waits 4 s, a browser 5 s.
http = urllib3.PoolManager(
    maxsize=16,
    timeout=urllib3.Timeout(connect=0.5, read={"shop": 2.0, "dashboard": 5.0}.get(SERVICE, 1.0)),
    retries=urllib3.Retry(connect=1, read=0, redirect=0, status=0),
)
cache = redis.Redis(
    host=os.environ.get("REDIS_HOST", "redis"), socket_timeout=1.0, socket_connect_timeout=0.5, retry_on_timeout=False
)


# gunicorn answers the signal itself; a program that runs as the first one of its container is deaf without this.
if SERVICE in ("stock", "reports", "dashboard"):
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))


class Failure(Exception):
    """An answer that is not 200."""

    def __init__(self, status, text):
        super().__init__(text)
        self.status, self.text = status, text


def get(url):
    """A kept connection may be closed just when it is used: such a request is sent once more, as HTTP clients do."""
    try:
        return http.request("GET", url)
    except urllib3.exceptions.ProtocolError:
        return http.request("GET", url)


def ask(base, path):
    """The answer of the next service, or the failure that it is for ours."""
    try:
        answer = get(base + path)
    except urllib3.exceptions.TimeoutError as error:
        raise Failure("504 Gateway Timeout", repr(error)) from error
    except urllib3.exceptions.HTTPError as error:
        raise Failure("502 Bad Gateway", repr(error)) from error
    if answer.status != 200:
        raise Failure("502 Bad Gateway", f"{base}{path} answered {answer.status}")
    return json.loads(answer.data)


def database():
    """This thread's connection."""
    if getattr(local, "connection", None) is None:
        local.connection = psycopg2.connect(
            host="postgres", user="store", dbname="postgres", connect_timeout=2, options="-c statement_timeout=1000"
        )
        local.connection.autocommit = True
    return local.connection


def query(text, *values):
    """The rows of a statement. A connection that has failed is replaced at the next one."""
    try:
        with database().cursor() as cursor:
            cursor.execute(text, values)
            return cursor.fetchall() if cursor.description else []
    except psycopg2.errors.UndefinedTable:
        fill()
        return query(text, *values)
    except psycopg2.Error as error:
        connection, local.connection = getattr(local, "connection", None), None
        if connection is not None:
            connection.close()
        raise Failure("503 Service Unavailable", repr(error)) from error


def fill():
    """A new database gets the store's goods at the first question."""
    query("CREATE TABLE IF NOT EXISTS goods (id int PRIMARY KEY, left_over int)")
    query("INSERT INTO goods SELECT n, 1000000 FROM generate_series(0, 999) AS n ON CONFLICT DO NOTHING")


PAGES = ("items", "basket", "buy", "import")


def shop(path):
    if path == "/":
        return {"hello": "store", "version": release.VERSION}
    if path.split("/")[1] not in PAGES:
        raise Failure("404 Not Found", path)
    return {"page": ask(os.environ["CART_URL"], path)}


def cart(path):
    _, what, name = path.split("/", 2)
    if what == "import":
        return import_goods(int(name))
    if what == "items":
        return ask(os.environ["STOCK_URL"], path)
    try:
        if what == "buy":
            cache.incr(f"basket:{name}")
        basket = int(cache.get(f"basket:{name}") or 0)
    except redis.RedisError as error:
        raise Failure("503 Service Unavailable", repr(error)) from error
    if what == "buy":
        ask(os.environ["STOCK_URL"], f"/take/{name}")
    return {"basket": basket}


def import_goods(megabytes):
    """A list of goods from a supplier is read into memory as a whole, however long it is."""
    goods = [bytearray(os.urandom(1024)) * 1024 for _ in range(megabytes)]
    return {"imported": len(goods)}


def stock(path):
    _, what, item = path.split("/", 2)
    number = int(item) % 1000
    if what == "take":
        query("UPDATE goods SET left_over = left_over - 1 WHERE id = %s", number)
    rows = query("SELECT left_over FROM goods WHERE id = %s", number)
    return {"left_over": [row[0] for row in rows]}


def reports(path):
    """What a year comes to takes long, and always has."""
    if path.startswith("/yearly/"):
        time.sleep(1.5)
    return {"report": path, "sum": sum(n * n for n in range(5000))}


def cards(path):
    return {"card": path}


ROLES = {"shop": shop, "cart": cart, "stock": stock, "reports": reports, "cards": cards}


def answer(path):
    if path == "/healthz":
        return ("200 OK" if time.monotonic() >= READY_AT else "503 Service Unavailable"), {}
    try:
        release.before(path)
        return "200 OK", ROLES[SERVICE](path)
    except Failure as failure:
        return failure.status, {"error": failure.text}


def application(environ, start_response):
    status, value = answer(environ["PATH_INFO"])
    body = json.dumps(value).encode()
    start_response(status, [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]


def dashboard():
    """Asks for reports for ever, five times a second: a caller that has no callers."""
    url = os.environ["REPORTS_URL"]
    workers = futures.ThreadPoolExecutor(4)
    number = 0
    while True:
        number += 1
        workers.submit(look, url, f"/daily/{number % 7}")
        if number % 25 == 0:
            workers.submit(look, url, "/yearly/1")
        time.sleep(0.2)


def look(url, path):
    try:
        ask(url, path)
    except Failure as failure:
        print(time.time(), failure.status, failure.text, flush=True)

