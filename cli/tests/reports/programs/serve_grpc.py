"""serve_grpc.py PORT BACKEND: gRPC without generated code. Good/Call connects to the backend's port first, where that is not 0, and is
UNAVAILABLE where it cannot; Bad/Call finds nothing; Feed/Call says something now and then, for as long as it is listened to."""
import socket
import sys
import time
from concurrent import futures

import grpc

backend = int(sys.argv[2])


def good(request, context):
    if backend:
        try:
            socket.create_connection(("127.0.0.1", backend), timeout=1).close()
        except OSError:
            context.abort(grpc.StatusCode.UNAVAILABLE, "no backend")
    return request


def bad(request, context):
    context.abort(grpc.StatusCode.NOT_FOUND, "no such thing")


def feed(request, context):
    while context.is_active():
        yield request
        time.sleep(1.5)


class Handler(grpc.GenericRpcHandler):
    def service(self, details):
        service = details.method.split("/")[1]
        if service == "Feed":
            return grpc.unary_stream_rpc_method_handler(feed)
        return grpc.unary_unary_rpc_method_handler({"Good": good, "Bad": bad}[service])


server = grpc.server(futures.ThreadPoolExecutor(8))
server.add_generic_rpc_handlers((Handler(),))
server.add_insecure_port(f"127.0.0.1:{sys.argv[1]}")
server.start()
server.wait_for_termination()
