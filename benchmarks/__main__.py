"""`make bench`: every benchmark in turn, each in a process of its own."""

import subprocess
import sys

for benchmark in ("alignment", "encoders", "long_track"):
    subprocess.run([sys.executable, "-m", f"benchmarks.{benchmark}"], check=True)
