"""Seconds that features and encoders take per minute of audio, and the memory that a long track takes at full size.

`python -m benchmarks.encoders` runs on made noise with random weights: the time does not depend on either.
"""

import statistics
import time
from collections.abc import Callable
from typing import Annotated, Any

import torch
import typer
from rich.console import Console
from rich.table import Table
from transformers import WhisperConfig

from modeling_collap import BeatsConfig, CollapConfig, CollapModel
from processing_collap import CollapFeatureExtractor

_RATE = 16000
_SMALL_TEXT = {"model_type": "gpt2", "vocab_size": 64, "n_positions": 16, "n_embd": 16, "n_layer": 1, "n_head": 2}


def whisper_base() -> WhisperConfig:
    """openai/whisper-base's encoder; the decoder is left out."""
    return WhisperConfig(
        d_model=512, encoder_layers=6, encoder_attention_heads=8, encoder_ffn_dim=2048, decoder_layers=0
    )


def audio_model(whisper: WhisperConfig | None, beats: BeatsConfig | None) -> CollapModel:
    """A full-size audio side with a text encoder that weighs nothing."""
    config = CollapConfig(text_config=_SMALL_TEXT, whisper_config=whisper, beats_config=beats, windows_per_chunk=1)
    return CollapModel(config).eval()


def median_seconds(run: Callable[[], Any], rounds: int) -> float:
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


@torch.inference_mode()
def main(
    minutes: Annotated[float, typer.Option(help="audio measured, in minutes")] = 1.0,
    rounds: Annotated[int, typer.Option(help="timed runs of each; the median counts")] = 3,
) -> None:
    """Seconds per minute of audio of the features and of the encoders at full size."""
    audio = torch.randn(int(minutes * 60 * _RATE), generator=torch.Generator().manual_seed(0)).numpy() / 10
    table = Table(title=f"Seconds per minute of audio, float32, {torch.get_num_threads()} threads")
    table.add_column("stage")
    table.add_column("seconds", justify="right")
    branches = {
        "log-mel": CollapFeatureExtractor(return_beats=False),
        "fbank": CollapFeatureExtractor(return_whisper=False),
    }
    for name, extractor in branches.items():
        taken = median_seconds(lambda e=extractor: e(audio, sampling_rate=_RATE), rounds)  # type: ignore[misc]
        table.add_row(name, f"{taken / minutes:.2f}")
    models = {
        "Whisper base encoder": (audio_model(whisper_base(), None), branches["log-mel"]),
        "BEATs base encoder": (audio_model(None, BeatsConfig()), branches["fbank"]),
    }
    for name, (model, extractor) in models.items():
        inputs = extractor(audio, sampling_rate=_RATE)
        taken = median_seconds(lambda m=model, i=inputs: m.get_audio_features(**i), rounds)  # type: ignore[misc]
        table.add_row(name, f"{taken / minutes:.2f}")
    Console().print(table)


if __name__ == "__main__":
    typer.run(main)
