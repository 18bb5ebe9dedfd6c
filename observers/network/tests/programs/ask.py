"""ask.py ADDRESS COUNT NAME...: asks for the A records of each name, COUNT sockets at a time with the same id, each of which waits
1.5 s for its answer. As COUNT tcp each name has a connection, over which it is asked for twice at once, with two ids."""
import socket
import sys

def ask(address, messages, kind):
    asker = socket.socket(socket.AF_INET, kind)
    asker.settimeout(1.5)
    asker.connect((address, 53))
    asker.send(messages)
    return asker


address, count = sys.argv[1:3]
for name in sys.argv[3:]:
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    question = bytes.fromhex("00070100000100000000 0000".replace(" ", "")) + labels + bytes.fromhex("0000010001")
    if count == "tcp":
        both = b"".join(len(question).to_bytes(2, "big") + bytes([0, id]) + question[2:] for id in (7, 8))
        askers = [ask(address, both, socket.SOCK_STREAM)]
    else:
        askers = [ask(address, question, socket.SOCK_DGRAM) for _ in range(int(count))]
    for asker in askers:
        try:
            asker.recv(512)
        except OSError:
            pass
        asker.close()
