"""serve_https.py ADDRESS NAME: serves HTTPS with a certificate of its own, under that name as a process; /good, /broken (500), /missing
(404), /mute (no answer), /large, which is more than one record of TLS, and /last, after which it closes the connection. Ends with its
input, and says how often each was asked."""
import collections
import http.server
import ssl
import subprocess
import sys
import tempfile
import threading

STATUS = {"good": 200, "broken": 500, "missing": 404, "large": 200, "last": 200, "mute": None}
asked, ending = collections.Counter(), threading.Event()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        what = self.path[1:]
        asked[what] += 1
        if what == "mute":
            ending.wait(30)
            self.close_connection = True
            return
        body = b"x" * 100_000 if what == "large" else b"x"
        self.send_response(STATUS[what])
        self.send_header("Content-Length", str(len(body)))
        if what == "last":
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


open("/proc/self/comm", "w").write(sys.argv[2])
with tempfile.TemporaryDirectory() as folder:
    certificate, key = folder + "/certificate", folder + "/key"
    make = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", "/CN=test"]
    subprocess.run([*make, "-keyout", key, "-out", certificate], check=True, stderr=subprocess.DEVNULL)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
server = http.server.ThreadingHTTPServer((sys.argv[1], 0), Handler)
server.daemon_threads = True
server.socket = context.wrap_socket(server.socket, server_side=True)
threading.Thread(target=server.serve_forever, daemon=True).start()
print(server.server_port, flush=True)
sys.stdin.read()
ending.set()
print(" ".join(f"{what} {count}" for what, count in sorted(asked.items())))
