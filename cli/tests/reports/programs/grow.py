"""grow.py: waits three seconds, then takes 20 MiB a second until it is stopped."""
import time

kept = []
time.sleep(3)
while True:
    kept.append(bytearray(b"x" * (1 << 20)))
    time.sleep(0.05)
