"""silent.py PORT: takes connections and answers nothing."""
import socket
import sys

listener, kept = socket.create_server(("0.0.0.0", int(sys.argv[1]))), []
while True:
    kept.append(listener.accept())
