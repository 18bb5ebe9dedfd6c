"""ask_routes.py ADDRESS:PORT COUNT: asks each of twenty routes so often, one after the other, each time for another thing and with another
query and trace, over two connections. Says how many requests failed, and which traces they belonged to."""
import http.client
import secrets
import sys
import threading
import time

count, failed = int(sys.argv[2]), []


def ask(half):
    connection = http.client.HTTPConnection(sys.argv[1], timeout=5)
    for number in range(half, count, 2):
        for route in "abcdefghijklmnopqrst":
            time.sleep(0.001)  # of more within a tick of the kernel's clock not all are read
            trace = secrets.token_hex(16)
            headers = {"traceparent": f"00-{trace}-{secrets.token_hex(8)}-01"}
            connection.request("GET", f"/{route}/{number}-5f3a?secret={number}", headers=headers)
            answer = connection.getresponse()
            answer.read()
            if answer.status == 500:
                failed.append(trace)


threads = [threading.Thread(target=ask, args=(half,)) for half in (0, 1)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print("failed", len(failed))
print(*failed)
