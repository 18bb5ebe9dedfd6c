"""ask_in_memory.py ADDRESS PORT: asks for /good ten times a second over one connection, until its input ends; as asyncio does, it has
TLS work in memory, and moves the bytes itself."""
import socket
import ssl
import sys
import threading
import time

address, port = sys.argv[1], int(sys.argv[2])
connection = socket.create_connection((address, port))
came, goes = ssl.MemoryBIO(), ssl.MemoryBIO()
tls = ssl._create_unverified_context().wrap_bio(came, goes)


def do(step, *arguments):
    while True:
        try:
            result = step(*arguments)
            connection.sendall(goes.read())
            return result
        except ssl.SSLWantReadError:
            connection.sendall(goes.read())
            came.write(connection.recv(1 << 16))


def ask_for_ever():
    do(tls.do_handshake)
    while True:
        do(tls.write, b"GET /good HTTP/1.1\r\nHost: test\r\n\r\n")
        do(tls.read, 1 << 16)
        time.sleep(0.1)


threading.Thread(target=ask_for_ever, daemon=True).start()
sys.stdin.read()
