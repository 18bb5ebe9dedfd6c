"""ready.py PORT: answers 200, and 503 from SIGUSR1 on."""
import signal
import socket
import sys

answer = b"200 OK"


def not_ready(*_):
    global answer
    answer = b"503 Service Unavailable"


signal.signal(signal.SIGUSR1, not_ready)
listener = socket.create_server(("0.0.0.0", int(sys.argv[1])))
while True:
    connection, _ = listener.accept()
    connection.recv(4096)
    connection.sendall(b"HTTP/1.1 " + answer + b"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
    connection.close()
