"""Asks for prices by gRPC and for cards by HTTPS, five times a second each, over one connection each; an answer may take a second."""

import http.client
import os
import ssl
import time
from concurrent import futures

import grpc

cards = http.client.HTTPSConnection(os.environ["CARDS"], context=ssl._create_unverified_context(), timeout=1.0)
channel = grpc.insecure_channel(os.environ["PRICES"], options=[("grpc.enable_http_proxy", 0)])
call = channel.unary_unary("/store.Prices/Get")


def price():
    try:
        call(b"apple", timeout=1.0)
    except grpc.RpcError as error:
        print(time.time(), error.code(), error.details(), flush=True)


def card():
    try:
        cards.request("GET", "/card/7")
        answer = cards.getresponse()
        answer.read()
        status = answer.status
    except (OSError, http.client.HTTPException) as error:
        cards.close()
        status = repr(error)
    if status != 200:
        print(time.time(), "cards:", status, flush=True)


def for_ever(ask):
    while True:
        ask()
        time.sleep(0.2)


with futures.ThreadPoolExecutor(2) as askers:
    list(askers.map(for_ever, [price, card]))
