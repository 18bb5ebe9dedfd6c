"""ask.py ADDRESS COUNT NAME...: asks for the A records of each name, COUNT sockets at a time with the same id, each of which waits
1.5 s for its answer."""
import socket
import sys

address, count = sys.argv[1], int(sys.argv[2])
for name in sys.argv[3:]:
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    question = bytes.fromhex("00070100000100000000 0000".replace(" ", "")) + labels + bytes.fromhex("0000010001")
    askers = []
    for _ in range(count):
        asker = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        asker.settimeout(1.5)
        asker.connect((address, 53))
        asker.send(question)
        askers.append(asker)
    for asker in askers:
        try:
            asker.recv(512)
        except OSError:
            pass
        asker.close()
