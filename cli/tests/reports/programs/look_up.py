"""look_up.py PORT NAME: HTTP/1.1, each request looks NAME up first, as the C library does: 200 where it is found, else 500."""
import http.server
import socket
import sys

name = sys.argv[2]


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        try:
            socket.getaddrinfo(name, 80, type=socket.SOCK_STREAM)
            self.send_response(200)
        except socket.gaierror:
            self.send_response(500)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
