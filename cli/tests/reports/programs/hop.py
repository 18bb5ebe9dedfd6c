"""hop.py PORT NEXT SECONDS ATTEMPTS: serves HTTP; for each request it asks the server of this host at port NEXT, waits so long for it, and
asks so often while that fails: else it answers as that did, or with 504. With NEXT 0 it answers at once; from a line of input on as that
says: `sleeps` for 30 s, `once` for 3 s before one answer, `fails` with 500, `seldom` so to each hundredth request."""
import http.client
import http.server
import itertools
import sys
import threading
import time

port, behind, seconds, attempts = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4])
state = {"does": "", "numbers": itertools.count()}


def own():
    does, number = state["does"], next(state["numbers"])
    if does == "once":
        state["does"] = ""
    time.sleep({"sleeps": 30, "once": 3}.get(does, 0))
    fails = does == "fails" or (does == "seldom" and number % 100 == 0)
    return 500 if fails else 200


def asked():
    connection = http.client.HTTPConnection("127.0.0.1", behind, timeout=seconds)
    try:
        connection.request("GET", "/")
        return connection.getresponse().status
    except OSError:
        return 504
    finally:
        connection.close()


def status():
    answer = 0
    for _ in range(attempts):
        answer = asked() if behind else own()
        if answer < 500:
            break
    return answer


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        answer = status()
        try:
            self.send_response(answer)
            self.send_header("Content-Length", "0")
            self.end_headers()
        except OSError:
            pass

    def log_message(self, *_):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
server.daemon_threads = True
threading.Thread(target=server.serve_forever, daemon=True).start()
state["does"] = sys.stdin.readline().strip()
threading.Event().wait()
