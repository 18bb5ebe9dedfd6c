"""serve_database.py ADDRESS KIND: serves as redis-server, postgres or mariadbd, each with the smallest bounds: Redis holds 2 MB and evicts
nothing, the others take 6 connections, of which mariadbd needs one for itself. Says its port, and ends with its input."""
import os
import pathlib
import pwd
import shutil
import socket
import subprocess
import sys
import tempfile
import time

address, kind = sys.argv[1:]


def free_port():
    with socket.socket() as probe:
        probe.bind((address, 0))
        return probe.getsockname()[1]


def own(folder, user):
    account = pwd.getpwnam(user)
    os.chown(folder, account.pw_uid, account.pw_gid)
    return {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}


def redis(folder, port):
    return [["redis-server", "--bind", address, "--port", str(port), "--save", "", "--maxmemory", "2mb", "--maxmemory-policy",
             "noeviction", "--dir", folder]], {}


def postgres(folder, port):
    tools, data, account = max(pathlib.Path("/usr/lib/postgresql").glob("*/bin")), folder + "/data", own(folder, "postgres")
    certificate, key = folder + "/certificate", folder + "/key"
    make = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", "/CN=test"]
    settings = {"max_connections": 6, "superuser_reserved_connections": 0, "fsync": "off", "ssl": "on", "ssl_cert_file": certificate,
                "ssl_key_file": key}
    bounds = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
    return [[tools / "initdb", "--auth=trust", "--username=test", "--no-sync", "--pgdata", data],
            [*make, "-keyout", key, "-out", certificate],
            [tools / "postgres", "-D", data, "-h", address, "-p", str(port), "-k", folder, *bounds]], account


def mariadbd(folder, port):
    data = folder + "/data"
    return [["mariadb-install-db", "--no-defaults", "--auth-root-authentication-method=normal", "--skip-test-db", "--datadir=" + data],
            ["mariadbd", "--no-defaults", "--datadir", data, "--bind-address", address, "--port", str(port), "--socket",
             folder + "/socket", "--max-connections=6", "--skip-name-resolve", "--skip-grant-tables"]], own(folder, "mysql")


def await_listener(port):
    while True:
        try:
            socket.create_connection((address, port)).close()
            return
        except OSError:
            time.sleep(0.05)


folder, port = tempfile.mkdtemp(), free_port()
commands, account = {"redis-server": redis, "postgres": postgres, "mariadbd": mariadbd}[kind](folder, port)
*prepared, serves = commands
for command in prepared:
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **account)
server = subprocess.Popen(["setpriv", "--pdeathsig=KILL", "--", *serves], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **account)
await_listener(port)
print(port, flush=True)
sys.stdin.read()
server.terminate()
server.wait()
shutil.rmtree(folder)
