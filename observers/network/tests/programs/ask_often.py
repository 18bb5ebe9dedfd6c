"""ask_often.py ADDRESS COUNT: asks COUNT times for good.test over one socket."""
import socket
import sys

asker = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
asker.connect((sys.argv[1], 53))
rest = bytes.fromhex("01000001000000000000") + b"\x04good\x04test" + bytes.fromhex("0000010001")
for number in range(int(sys.argv[2])):
    asker.send((number % 65536).to_bytes(2, "big") + rest)
    asker.recv(512)
