"""ask_https.py ADDRESS:PORT STEP...: asks over one connection, which is made anew after a failure; PATH:COUNT asks so often, and `mute`
waits 0.3 s. "for ever" asks for /good ten times a second until its input ends. Says what came of each step."""
import http.client
import ssl
import sys
import threading
import time

context = ssl._create_unverified_context()
connection = http.client.HTTPSConnection(sys.argv[1], context=context, timeout=5)


def ask(path):
    connection.timeout = 0.3 if path == "mute" else 5
    try:
        connection.request("GET", "/" + path)
        answer = connection.getresponse()
        answer.read()
        return str(answer.status)
    except OSError as error:
        connection.close()
        return type(error).__name__


def ask_for_ever():
    while True:
        ask("good")
        time.sleep(0.1)


for step in sys.argv[2:]:
    if step == "for ever":
        threading.Thread(target=ask_for_ever, daemon=True).start()
        sys.stdin.read()
        sys.exit()
    path, _, count = step.partition(":")
    results = {ask(path) for _ in range(int(count or 1))}
    print(path, *sorted(results), count or 1, flush=True)
connection.close()
