"""query.py ADDRESS:PORT KIND STEP...: asks a database (see serve_database.py) over one connection; as KIND postgres-tls over TLS.
`good:COUNT` and `wrong:COUNT` ask so often what can and what cannot be, `failing:COUNT` what it has no room for: more memory, or connections
beyond the ones it has. `mute:COUNT` waits 0.3 s for what takes longer, `waits` for what takes 1 s on purpose, `checks:COUNT` asks whether it
is there. `later` waits for a line of input, `for ever` is good ten times a second until the input ends. Says what came of each step."""
import sys
import threading
import time

where, kind = sys.argv[1:3]
host, port = where.split(":")


class Redis:
    wrong_kind = "ResponseError"

    def __init__(self):
        import redis
        self.client = redis.Redis(host, int(port), single_connection_client=True)

    def good(self):
        self.client.get("a")

    def wrong(self):
        self.client.execute_command("SET", "only-a-name")

    def failing(self):
        self.client.set("large", "x" * 4_000_000)

    def mute(self):
        import redis
        self.client.client_pause(400, all=True)
        try:
            redis.Redis(host, int(port), socket_timeout=0.3).get("a")
        finally:
            time.sleep(0.5)

    def waits(self):
        import redis
        redis.Redis(host, int(port)).blpop("nothing", 1)

    def checks(self):
        self.client.ping()


class Sql:
    def ask(self, query):
        cursor = self.connection.cursor()
        cursor.execute(query)
        return cursor

    def good(self):
        self.ask("SELECT 1")

    def wrong(self):
        self.ask("SIGNAL SQLSTATE '23000'" if kind == "mariadbd" else "SELECT 1 / 0")

    def failing(self):
        more = []
        try:
            for _ in range(20):
                more.append(self.connect())
        finally:
            for connection in more:
                connection.close()
            while int(self.ask(self.open_connections).fetchone()[-1]) > 1:
                time.sleep(0.01)


class Postgres(Sql):
    open_connections = "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'"

    def __init__(self):
        self.connection = self.connect()

    def connect(self, **settings):
        import psycopg2
        tls = "require" if kind == "postgres-tls" else "disable"
        connection = psycopg2.connect(host=host, port=port, user="test", dbname="postgres", sslmode=tls, gssencmode="disable", **settings)
        if not settings:
            connection.autocommit = True
        return connection

    def mute(self):
        import psycopg2.extras
        connection = self.connect(async_=1)
        psycopg2.extras.wait_select(connection)
        connection.cursor().execute("SELECT pg_sleep(2)")
        time.sleep(0.3)
        connection.close()
        raise TimeoutError


class Mysql(Sql):
    open_connections = "SHOW STATUS LIKE 'Threads_connected'"

    def __init__(self):
        self.connection = self.connect()

    def connect(self):
        import pymysql
        return pymysql.connect(host=host, port=int(port), user="test", ssl_disabled=True)

    def mute(self):
        connection = self.connect()
        connection._read_timeout = 0.3
        connection.cursor().execute("SELECT SLEEP(2)")

    def checks(self):
        self.connection.ping(reconnect=False)


database = {"redis-server": Redis, "postgres": Postgres, "postgres-tls": Postgres, "mariadbd": Mysql}[kind]()


def came_of(step):
    time.sleep(0.001)  # of more within a tick of the kernel's clock not all are read
    try:
        getattr(database, step)()
        return "done"
    except Exception as error:
        return type(error).__name__


for step in sys.argv[3:]:
    if step == "later":
        sys.stdin.readline()
        continue
    if step == "for ever":
        threading.Thread(target=sys.stdin.read, daemon=True).start()
        while threading.active_count() > 1:
            came_of("good")
            time.sleep(0.1)
        continue
    step, _, count = step.partition(":")
    results = {came_of(step) for _ in range(int(count or 1))}
    print(step, *sorted(results), count or 1, flush=True)
