"""fault.py PORT: two workers wait for connections; whoever gets a request touches memory that is not there, and is replaced."""
import ctypes
import os
import socket
import sys

listener = socket.create_server(("0.0.0.0", int(sys.argv[1])))
workers = set()
while True:
    while len(workers) < 2:
        pid = os.fork()
        if pid == 0:
            connection, _ = listener.accept()
            connection.recv(4096)
            ctypes.string_at(0)
        workers.add(pid)
    workers.discard(os.wait()[0])
