"""hop.py PORT NEXT SECONDS ATTEMPTS: serves HTTP; for each request it asks the server of this host at port NEXT, waits so long for it, and
asks so often while that fails: else it answers as that did, or with 504. With NEXT 0 it answers at once, and after a line of input after 30 s,
or with 500 where it has no seconds."""
import http.client
import http.server
import sys
import threading
import time

port, behind, seconds, attempts = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4])
sleeps = threading.Event()


def own():
    if sleeps.is_set() and not seconds:
        return 500
    time.sleep(30 if sleeps.is_set() else 0)
    return 200


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
sys.stdin.readline()
sleeps.set()
threading.Event().wait()
