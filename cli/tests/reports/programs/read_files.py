"""read_files.py: reads a file on a disk twice, so that its pages are in use, then asks for more memory than its limit at once."""
import os
import tempfile
import time

with tempfile.TemporaryFile(dir="/var/tmp") as file:
    for _ in range(180):
        file.write(os.urandom(1 << 20))
    file.flush()
    os.fsync(file.fileno())
    os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    for pause in (0, 0.05):
        os.lseek(file.fileno(), 0, 0)
        while os.read(file.fileno(), 1 << 20):
            time.sleep(pause)
    kept = bytearray(b"x" * (340 << 20))
