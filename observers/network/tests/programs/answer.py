"""answer.py ADDRESS [PORT]: a name server that does what the first label of a name says: good, unknown, broken (SERVFAIL), refused,
truncated, slow (200 ms), mute; says "ready" first, and how many good answers it gave when its input ends."""
import socket
import sys
import threading
import time

FLAGS = {b"good": 0x8180, b"unknown": 0x8183, b"broken": 0x8182, b"refused": 0x8185, b"truncated": 0x8380, b"slow": 0x8180}
good = 0


def serve(listener):
    global good
    while True:
        question, asker = listener.recvfrom(512)
        label = question[13 : 13 + question[12]]
        if label == b"mute":
            continue
        if label == b"slow":
            time.sleep(0.2)
        good += label == b"good"
        listener.sendto(question[:2] + FLAGS[label].to_bytes(2, "big") + question[4:], asker)


listener = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
listener.bind((sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 53))
threading.Thread(target=serve, args=(listener,), daemon=True).start()
print("ready", flush=True)
sys.stdin.read()
print(good, flush=True)
