"""Sounds, encoded files and small tokenizers of the two kinds that CoLLAP's text encoders use."""

import io
import json
import wave
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from transformers import GPT2TokenizerFast, PreTrainedTokenizerBase, RobertaTokenizerFast

CORPUS = ["a slow piano opens the song", "drums and a warm bass join in the second verse", "the choir fades out"]


@pytest.fixture(scope="session")
def sound() -> Callable[..., np.ndarray]:
    """`sound(seconds, rate, seed)`: two gliding tones in faint noise, `(samples,)` float32."""

    def make(seconds: float, rate: int = 16000, seed: int = 0) -> np.ndarray:
        time = np.arange(round(seconds * rate)) / rate
        tones = np.sin(2 * np.pi * (220 + 30 * seed + 20 * time) * time) + 0.5 * np.sin(2 * np.pi * 1200 * time)
        noise = np.random.default_rng(seed).normal(scale=0.01, size=len(time))
        return (0.3 * tones + noise).astype(np.float32)

    return make


@pytest.fixture(scope="session")
def wav_bytes() -> Callable[..., bytes]:
    """`wav_bytes(samples, rate)`: a 16-bit WAV file of `(channels, samples)` or `(samples,)` floats."""

    def make(samples: np.ndarray, rate: int) -> bytes:
        pcm = np.round(np.atleast_2d(samples) * 32767).astype("<i2")
        buffer = io.BytesIO()
        with wave.open(buffer, "wb") as file:
            file.setnchannels(len(pcm))
            file.setsampwidth(2)
            file.setframerate(rate)
            file.writeframes(pcm.T.tobytes())
        return buffer.getvalue()

    return make


def _byte_level_bpe(special_tokens: list[str]) -> dict[str, Any]:
    """Vocabulary and merges of a small byte-level BPE whose first tokens are `special_tokens`."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=320,
        special_tokens=special_tokens,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(CORPUS, trainer)
    model = json.loads(tokenizer.to_str())["model"]
    return {"vocab": model["vocab"], "merges": [tuple(merge) for merge in model["merges"]]}


@pytest.fixture
def gpt2_tokenizer() -> PreTrainedTokenizerBase:
    """Like the released GPT-2 tokenizer: one special token, none for padding, 1024 tokens."""
    return GPT2TokenizerFast(**_byte_level_bpe(["<|endoftext|>"]), model_max_length=1024)


@pytest.fixture
def roberta_tokenizer() -> PreTrainedTokenizerBase:
    """Like the released RoBERTa tokenizer: `<s> text </s>`, its own padding, 512 tokens."""
    return RobertaTokenizerFast(**_byte_level_bpe(["<s>", "<pad>", "</s>", "<unk>", "<mask>"]), model_max_length=512)


@pytest.fixture(params=["gpt2", "roberta"])
def tokenizer(request: pytest.FixtureRequest) -> PreTrainedTokenizerBase:
    return request.getfixturevalue(f"{request.param}_tokenizer")
