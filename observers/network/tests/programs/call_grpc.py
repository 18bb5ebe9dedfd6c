"""call_grpc.py ADDRESS STEP...: calls METHOD[:COUNT[:SECONDS]]... at ADDRESS over one connection; SECONDS is the deadline of each call. Says how each
ended. `wait` says "ready" and waits for a line."""
import sys

import grpc

STREAMS = {"BreaksOff", "Echo"}
MESSAGES = 100
METADATA = (("authorization", "Bearer secret"), ("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"))


def call(channel, service, method, seconds):
    path = f"/{service}/{method}"
    if method in STREAMS:
        answers = channel.stream_stream(path)(iter([b"x" * 300] * MESSAGES), timeout=seconds)
        return sum(1 for _ in answers)
    channel.unary_unary(path)(b"x" * 30, timeout=seconds, metadata=METADATA)
    return 1


def outcome(channel, service, method, seconds):
    try:
        call(channel, service, method, seconds)
    except grpc.RpcError as error:
        return error.code().name
    return "OK"


channel = grpc.insecure_channel(sys.argv[1], options=[("grpc.enable_http_proxy", 0)])
for step in sys.argv[2:]:
    if step == "wait":
        print("ready", flush=True)
        sys.stdin.readline()
        continue
    method, count, seconds = (step.split(":") + ["1", ""])[:3] if ":" in step else (step, "1", "")
    service = "grpc.health.v1.Health" if method == "Check" else "tapio.Test"
    ends = [outcome(channel, service, method, float(seconds) if seconds else None) for _ in range(int(count))]
    print(method, " ".join(f"{end} {ends.count(end)}" for end in sorted(set(ends))), flush=True)
