"""shop.py PORT KIND DATABASE_PORT SECONDS: serves HTTP; for each request it keeps and reads something in Redis (kind redis) or reads the table
things of PostgreSQL (kind postgres), over four connections that it keeps, and waits so long. Answers with 500 where that fails."""
import contextlib
import http.server
import queue
import sys
import uuid

port, kind, database_port, seconds = int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])


class Redis:
    def __init__(self):
        import redis
        self.client = redis.Redis("127.0.0.1", database_port, single_connection_client=True, socket_timeout=seconds)

    def use(self):
        key = str(uuid.uuid4())
        self.client.set(key, "x" * 20_000)
        self.client.get(key)


class Postgres:
    def __init__(self):
        import psycopg2
        self.connection = psycopg2.connect(host="127.0.0.1", port=database_port, user="shop", dbname="postgres", sslmode="disable",
                                           gssencmode="disable", options=f"-c statement_timeout={seconds}s")
        self.connection.autocommit = True

    def use(self):
        self.connection.cursor().execute("SELECT count(*) FROM things")


connections = queue.Queue()
for _ in range(4):
    connections.put(None)


@contextlib.contextmanager
def connection():
    taken = connections.get()
    try:
        taken = taken or (Redis if kind == "redis" else Postgres)()
        yield taken
    except Exception:
        if kind == "postgres":
            taken = None
        raise
    finally:
        connections.put(taken)


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        try:
            with connection() as database:
                database.use()
            status = 200
        except Exception:
            status = 500
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
server.daemon_threads = True
server.serve_forever()
