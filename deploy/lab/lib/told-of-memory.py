"""Prints what a virtual machine said and compares the incidents with what was done: one of each, with the growth as its root."""

import json
import sys

told = {}
for line in sys.stdin:
    if line.startswith("{"):
        incident = json.loads(line)
        told[incident["id"]] = incident
    else:
        print(line, end="")
roots = []
for incident in told.values():
    root = next(step for step in incident["steps"] if step["role"] == "root_cause")
    roots.append((root["condition"], root["label"]))
    print(f"{incident['confidence']:.2f} {incident['narrative']}")
expected = [("memory_growth", "app"), ("memory_growth", "cache")]
if sorted(roots) != expected:
    sys.exit(f"roots are {sorted(roots)}, and should be {expected}")
