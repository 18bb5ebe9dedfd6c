"""answer.py ADDRESS [PORT]: a name server that does what the first label of a name says: good, unknown, broken (SERVFAIL), refused,
truncated, slow (200 ms), mute; over UDP and over TCP. Says "ready" first, and how many good answers it gave when its input ends."""
import socket
import socketserver
import sys
import threading
import time

FLAGS = {b"good": 0x8180, b"unknown": 0x8183, b"broken": 0x8182, b"refused": 0x8185, b"truncated": 0x8380, b"slow": 0x8180}
good = 0


def answer(question):
    """Nothing where it is mute."""
    global good
    label = question[13 : 13 + question[12]]
    if label == b"mute":
        return b""
    if label == b"slow":
        time.sleep(0.2)
    good += label == b"good"
    return question[:2] + FLAGS[label].to_bytes(2, "big") + question[4:]


def serve(listener):
    while True:
        question, asker = listener.recvfrom(512)
        if said := answer(question):
            listener.sendto(said, asker)


class OverTcp(socketserver.StreamRequestHandler):
    def handle(self):
        while questions := self.request.recv(4096):  # whole ones, as they were sent
            answers = b""
            while questions:
                end = 2 + int.from_bytes(questions[:2], "big")
                if said := answer(questions[2:end]):
                    answers += len(said).to_bytes(2, "big") + said
                questions = questions[end:]
            self.wfile.write(answers)


where = (sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 53)
listener = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
listener.bind(where)
threading.Thread(target=serve, args=(listener,), daemon=True).start()
socketserver.ThreadingTCPServer.allow_reuse_address = True
socketserver.ThreadingTCPServer.daemon_threads = True
threading.Thread(target=socketserver.ThreadingTCPServer(where, OverTcp).serve_forever, daemon=True).start()
print("ready", flush=True)
sys.stdin.read()
print(good, flush=True)
