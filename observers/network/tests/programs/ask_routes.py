"""ask_routes.py ADDRESS:PORT COUNT: asks each of twenty routes so often, one after the other, each time for another thing and with another
query, over two connections. Says how many requests failed."""
import http.client
import sys
import threading
import time

count, failed = int(sys.argv[2]), []


def ask(half):
    connection = http.client.HTTPConnection(sys.argv[1], timeout=5)
    for number in range(half, count, 2):
        for route in "abcdefghijklmnopqrst":
            time.sleep(0.001)  # of more within a tick of the kernel's clock not all are read
            connection.request("GET", f"/{route}/{number}-5f3a?secret={number}")
            answer = connection.getresponse()
            answer.read()
            if answer.status == 500:
                failed.append(number)


threads = [threading.Thread(target=ask, args=(half,)) for half in (0, 1)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print("failed", len(failed))
