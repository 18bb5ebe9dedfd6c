"""parts.py serve|ask PORT: heads in four buffers of one system call; the server answers all requests with 500."""
import socket
import sys
import threading
import time

RESPONSE = [b"HTTP/1.1 500 ", b"Internal Server Error", b"\r\n", b"Content-Length: 0\r\n\r\n"]
REQUEST = [b"GET", b" /", b" HTTP/1.1\r\n", b"Host: it\r\n\r\n"]


def serve(connection):
    while connection.recv(4096):
        connection.sendmsg(RESPONSE)


port = int(sys.argv[2])
if sys.argv[1] == "serve":
    listener = socket.create_server(("0.0.0.0", port))
    while True:
        threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
connection = socket.create_connection(("127.0.0.1", port))
while True:
    connection.sendmsg(REQUEST)
    connection.recv(4096)
    time.sleep(0.1)
