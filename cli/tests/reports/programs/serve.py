"""serve.py PORT [ADDRESS]: HTTP/1.1 with keep-alive. /NNN answers that status, /slow waits 50 ms, /leak keeps 2 MiB, /exit ends
with 1, /fault touches memory that is not there; anything else is 200."""
import ctypes
import os
import signal
import socket
import sys
import threading
import time

for number in signal.SIGHUP, signal.SIGQUIT:
    signal.signal(number, signal.SIG_DFL)  # who starts this may ignore them, as nohup does, or a shell behind `&`
kept = []


def answer(path):
    if path == "/exit":
        os._exit(1)
    if path == "/fault":
        ctypes.string_at(0)
    if path == "/slow":
        time.sleep(0.05)
    if path == "/leak":
        kept.append(bytearray(b"x" * (2 << 20)))
    status = path[1:4] if path[1:4].isdigit() else "200"
    return f"HTTP/1.1 {status} Status\r\nContent-Length: 2\r\n\r\nok".encode()


def serve(connection):
    rest = b""
    try:
        while more := connection.recv(65536):
            rest += more
            while b"\r\n\r\n" in rest:
                head, rest = rest.split(b"\r\n\r\n", 1)
                connection.sendall(answer(head.split()[1].decode()))
    except OSError:
        pass
    connection.close()


address = sys.argv[2] if len(sys.argv) > 2 else "0.0.0.0"
listener = socket.create_server((address, int(sys.argv[1])), family=socket.AF_INET6 if ":" in address else socket.AF_INET)
while True:
    threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
