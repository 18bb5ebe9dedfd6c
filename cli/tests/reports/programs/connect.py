"""connect.py ADDRESS,ADDRESS PORT SECONDS: ten times a second connects to the first address that takes it, as for a name that has
several."""
import socket
import sys
import time

addresses, port = sys.argv[1].split(","), int(sys.argv[2])
end = time.monotonic() + float(sys.argv[3])
while time.monotonic() < end:
    for address in addresses:
        try:
            socket.create_connection((address, port)).close()
            break
        except ConnectionRefusedError:
            pass
    time.sleep(0.1)
