"""hop.py PORT NEXT SECONDS: serves HTTP; for each request it asks the server of this host at port NEXT, and waits so long for it: else it
answers 504. With NEXT 0 it answers at once, and after a line of input only after 30 s."""
import http.client
import http.server
import sys
import threading
import time

port, behind, seconds = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
sleeps = threading.Event()


def status():
    if not behind:
        time.sleep(30 if sleeps.is_set() else 0)
        return 200
    connection = http.client.HTTPConnection("127.0.0.1", behind, timeout=seconds)
    try:
        connection.request("GET", "/")
        return connection.getresponse().status
    except OSError:
        return 504
    finally:
        connection.close()


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
