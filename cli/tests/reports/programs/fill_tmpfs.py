"""fill_tmpfs.py: writes 20 MiB a second into files that are kept in memory, until it is stopped."""
import os
import time

file = os.memfd_create("kept")
time.sleep(3)
while True:
    os.write(file, b"x" * (1 << 20))
    time.sleep(0.05)
