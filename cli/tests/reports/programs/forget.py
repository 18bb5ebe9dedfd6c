"""forget.py PORT PATIENCE SECONDS: sends ten requests a second, and closes each connection after PATIENCE seconds without a look at it."""
import socket
import sys
import time

port, patience, end = int(sys.argv[1]), float(sys.argv[2]), time.monotonic() + float(sys.argv[3])
while time.monotonic() < end:
    connection = socket.create_connection(("127.0.0.1", port))
    connection.sendall(b"POST /slow HTTP/1.1\r\nHost: it\r\nContent-Length: 0\r\n\r\n")
    time.sleep(patience)
    connection.close()
    time.sleep(0.1)
