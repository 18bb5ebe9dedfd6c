"""call_grpc.py PORT SERVICE PER_SECOND SECONDS: calls over one connection, each with half a second to be answered; a feed is
listened to until the end."""
import sys
import time

import grpc

port, service = sys.argv[1], sys.argv[2]
pause, end = 1 / float(sys.argv[3]), time.monotonic() + float(sys.argv[4])
channel = grpc.insecure_channel(f"127.0.0.1:{port}", options=[("grpc.enable_http_proxy", 0)])
if service == "Feed":
    answers = channel.unary_stream("/Feed/Call")(b"x")
    for _ in answers:
        if time.monotonic() > end:
            answers.cancel()
            break
    sys.exit()
call = channel.unary_unary(f"/{service}/Call")
while time.monotonic() < end:
    try:
        call(b"x", timeout=0.5)
    except grpc.RpcError:
        pass
    time.sleep(pause)
