"""serve_grpc.py ADDRESS NAME: serves gRPC without generated code, under that name as a process; each method ends in its own way.
Ends with its input, and says how many calls came."""
import os
import sys
import threading
import time
from concurrent import futures

import grpc

calls, ending, lock = {}, threading.Event(), threading.Lock()
slow_ones = 0


def good(request, context):
    return request


def unavailable(request, context):
    context.abort(grpc.StatusCode.UNAVAILABLE, "not now")


def missing(request, context):
    context.abort(grpc.StatusCode.NOT_FOUND, "no such thing")


def slow(request, context):
    global slow_ones
    slow_ones += 1
    ending.wait(30)
    return request


def wait(request, context):
    """Answers when two are slow."""
    while slow_ones < 2:
        time.sleep(0.01)
    return request


def breaks_off(requests, context):
    yield b"first"
    context.abort(grpc.StatusCode.UNAVAILABLE, "no more")


def echo(requests, context):
    yield from requests


UNARY = {"Good": good, "Unavailable": unavailable, "Missing": missing, "Slow": slow, "Wait": wait, "Check": good}
STREAMS = {"BreaksOff": breaks_off, "Echo": echo}


class Handler(grpc.GenericRpcHandler):
    def service(self, details):
        method = details.method.rsplit("/", 1)[1]
        with lock:
            calls[method] = calls.get(method, 0) + 1
        if method in UNARY:
            return grpc.unary_unary_rpc_method_handler(UNARY[method])
        if method in STREAMS:
            return grpc.stream_stream_rpc_method_handler(STREAMS[method])
        return None


with open("/proc/self/comm", "w") as comm:
    comm.write(sys.argv[2])
server = grpc.server(futures.ThreadPoolExecutor(8))
server.add_generic_rpc_handlers((Handler(),))
port = server.add_insecure_port(f"{sys.argv[1]}:0")
server.start()
print(port, flush=True)
sys.stdin.read()
print(" ".join(f"{method} {count}" for method, count in sorted(calls.items())), flush=True)
os._exit(0)
