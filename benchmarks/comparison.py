"""Two ways of one computation side by side: their times, their memory, and how far apart their results lie."""

import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor


def compare(plain: Callable[[], Tensor], ours: Callable[[], Tensor], rounds: int, device: str = "cpu") -> list[str]:
    """The cells under `headings`: medians of `rounds` times in turns, and the largest difference between results."""
    ways = (plain, ours)
    apart = (plain() - ours()).abs().max().item()  # also the warm-up
    timed, peak = (cuda_seconds, cuda_peak_bytes) if device == "cuda" else (seconds, peak_bytes)
    times = [[timed(way) for way in ways] for _ in range(rounds)]
    plain_time, our_time = (statistics.median(column) for column in zip(*times, strict=True))
    faster = statistics.median(a / b for a, b in times)
    plain_bytes, our_bytes = (peak(way) for way in ways)
    return [
        f"{plain_time * 1e3:,.0f} ms",
        f"{our_time * 1e3:,.0f} ms",
        f"{faster:.2f} x",
        f"{plain_bytes / 1e6:,.0f} MB",
        f"{our_bytes / 1e6:,.1f} MB",
        f"{plain_bytes / our_bytes:.1f} x",
        f"{apart:.0e}",
    ]


def headings(plain: str) -> tuple[str, ...]:
    """Of the columns that `compare` fills."""
    return (plain, "ours", "faster", plain, "ours", "less memory", "apart")


def seconds(run: Callable[[], object]) -> float:
    """Processor time, which on one thread is the wall clock's less what the machine's other work takes."""
    start = time.process_time()
    run()
    return time.process_time() - start


def peak_bytes(run: Callable[[], object]) -> int:
    """The most bytes of tensors alive at once while `run` ran, beyond those alive before."""
    with torch.profiler.profile(
        activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True, acc_events=True
    ) as profile:
        run()
    with tempfile.TemporaryDirectory() as folder:
        trace = Path(folder) / "trace.json"
        profile.export_chrome_trace(str(trace))
        events = json.loads(trace.read_text())["traceEvents"]
    held = peak = 0
    for event in sorted((e for e in events if e["name"] == "[memory]"), key=lambda e: e["ts"]):
        held += event["args"]["Bytes"]
        peak = max(peak, held)
    return peak


def cuda_seconds(run: Callable[[], object]) -> float:
    torch.cuda.synchronize()
    start = time.perf_counter()
    run()
    torch.cuda.synchronize()
    return time.perf_counter() - start


def cuda_peak_bytes(run: Callable[[], object]) -> int:
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    held = torch.cuda.memory_allocated()
    run()
    torch.cuda.synchronize()
    return torch.cuda.max_memory_allocated() - held
