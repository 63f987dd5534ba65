"""`make bench`: every benchmark in turn, each in a process of its own."""

import subprocess
import sys

for benchmark in (
    "alignment",
    "structure",
    "attention",
    "encoders",
    "long_track",
    "onnx",
    "training",
    "dataset_pipeline",
    "index",
    "space",
):
    subprocess.run([sys.executable, "-m", f"benchmarks.{benchmark}"], check=True)
