"""ask_https.py PORT PER_SECOND SECONDS: asks by HTTPS over one connection, which is made anew after a failure; an answer may take half
a second."""
import http.client
import ssl
import sys
import time

pause, end = 1 / float(sys.argv[2]), time.monotonic() + float(sys.argv[3])
connection = http.client.HTTPSConnection("127.0.0.1", int(sys.argv[1]), context=ssl._create_unverified_context(), timeout=0.5)
while time.monotonic() < end:
    try:
        connection.request("GET", "/")
        connection.getresponse().read()
    except OSError:
        connection.close()
    time.sleep(pause)
