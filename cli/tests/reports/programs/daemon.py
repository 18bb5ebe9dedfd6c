"""daemon.py PORT: serves in the background: the process that was started forks and ends."""
import os
import runpy
import sys

if os.fork():
    os._exit(0)
os.setsid()
sys.argv[0] = os.path.join(os.path.dirname(os.path.abspath(__file__)), "serve.py")
runpy.run_path(sys.argv[0], run_name="__main__")
