"""serve_routes.py ADDRESS NAME: serves HTTP under that name as a process: twenty routes /a/ID to /t/ID, of which every 33rd request for
/h/ID ends with 500. Ends with its input, and says how often each was asked since the first failure, and how often it failed since."""
import collections
import http.server
import sys
import threading

asked, failed = collections.Counter(), collections.Counter()
lock = threading.Lock()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    seen = 0

    def do_GET(self):
        route = self.path[1]
        with lock:
            Handler.seen += route == "h"
            fails = route == "h" and Handler.seen % 33 == 1
            if failed:
                asked[route] += 1
            failed[route] += fails
        self.send_response(500 if fails else 200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


open("/proc/self/comm", "w").write(sys.argv[2])
server = http.server.ThreadingHTTPServer((sys.argv[1], 0), Handler)
server.daemon_threads = True
threading.Thread(target=server.serve_forever, daemon=True).start()
print(server.server_port, flush=True)
sys.stdin.read()
print("asked", asked["h"], "failed", failed["h"] - 1)
