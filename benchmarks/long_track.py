"""Resident memory that a long track takes at full size (BEATs base and Whisper base), encoded on the CPU.

`python -m benchmarks.long_track` makes noise with random weights: neither changes what is held.
"""

import resource
import time
from typing import Annotated

import torch
import typer

from modeling_collap import BeatsConfig
from processing_collap import CollapFeatureExtractor

from .encoders import audio_model, whisper_base

_RATE = 16000


@torch.inference_mode()
def main(minutes: Annotated[float, typer.Option(help="length of the track, in minutes")] = 10.0) -> None:
    """Peak resident memory of the whole process, from raw samples to the fused sequence."""
    audio = torch.randn(int(minutes * 60 * _RATE), generator=torch.Generator().manual_seed(0)).numpy() / 10
    model = audio_model(whisper_base(), BeatsConfig())
    start = time.perf_counter()
    features, lengths = model.get_audio_features(**CollapFeatureExtractor()(audio, sampling_rate=_RATE))
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"{minutes:g} minutes: {int(lengths[0])} steps of {features.shape[-1]}, {seconds:.0f} s, peak {peak:.2f} GiB")


if __name__ == "__main__":
    typer.run(main)
