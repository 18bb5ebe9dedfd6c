"""Prices by gRPC, without generated code: answers with what it is asked."""

import signal
from concurrent import futures

import grpc
import release


def price(request, context):
    try:
        release.before("/price")
    except KeyError as error:
        context.abort(grpc.StatusCode.UNAVAILABLE, repr(error))
    return request


class Handler(grpc.GenericRpcHandler):
    def service(self, details):
        return grpc.unary_unary_rpc_method_handler(price)


server = grpc.server(futures.ThreadPoolExecutor(8))
server.add_generic_rpc_handlers((Handler(),))
server.add_insecure_port("0.0.0.0:9000")
signal.signal(signal.SIGTERM, lambda *_: server.stop(1))
server.start()
server.wait_for_termination()
