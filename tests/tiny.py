"""Tiny models, tokenizers, songs and datasets, built in memory and in the real formats."""

import json
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import numpy as np
import torch
from datasets import Dataset
from tokenizers import ByteLevelBPETokenizer
from torchcodec.encoders import AudioEncoder
from transformers import BatchFeature, GPT2Tokenizer, PreTrainedTokenizerBase, RobertaTokenizer

from dataset_scripts.schema import dataset_from_rows
from dataset_scripts.structure import section_line
from modeling_collap import CollapConfig, CollapModel
from processing_collap import CollapFeatureExtractor, CollapProcessor

RATE = 16000
WINDOW_SECONDS = 1.0
# A 1 s window at the real hops, as 1500 and 1496 are those of a 30 s window.
WHISPER_STEPS, BEATS_STEPS = 50, 48
TEXT_BACKBONES = ("gpt2", "roberta")
TEXT_LIMIT = 64

CAPTIONS = [
    "a slow piano ballad with a soft verse and a loud chorus",
    "fast electronic dance music with a heavy bass and bright synthesizers",
    "a string quartet plays a sad melody, then a joyful one",
    "drums and guitar enter, the song grows, and it ends quietly",
]


@lru_cache
def tokenizer_folder(backbone: str) -> Path:
    """A byte-level BPE of 300 or so tokens as the files of GPT-2 or RoBERTa: vocab.json and merges.txt."""
    folder = Path(mkdtemp(prefix=f"tiny-{backbone}-"))
    special = {"gpt2": ["<|endoftext|>"], "roberta": ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]}[backbone]
    bpe = ByteLevelBPETokenizer()
    bpe.train_from_iterator(CAPTIONS, vocab_size=300, special_tokens=special, show_progress=False)
    bpe.save_model(str(folder))
    return folder


def tokenizer(backbone: str, limit: int = TEXT_LIMIT) -> PreTrainedTokenizerBase:
    """GPT-2's has no padding token, as the real one."""
    kind: Any = {"gpt2": GPT2Tokenizer, "roberta": RobertaTokenizer}[backbone]
    return kind.from_pretrained(tokenizer_folder(backbone), model_max_length=limit)


def text_config(backbone: str, limit: int = TEXT_LIMIT, **options: Any) -> dict[str, Any]:
    """Width 16, and room for `limit` tokens."""
    vocab_size = len(tokenizer(backbone))
    if backbone == "gpt2":
        shape = {"n_embd": 16, "n_layer": 2, "n_head": 2, "n_positions": limit, "bos_token_id": 0, "eos_token_id": 0}
    else:
        shape = {
            "hidden_size": 16,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "intermediate_size": 32,
            "max_position_embeddings": limit + 2,  # positions start after the padding token's id, 1
            "type_vocab_size": 1,
        }
    return {"model_type": backbone, "vocab_size": vocab_size, "initializer_range": 0.3, **shape, **options}


def whisper_config(**options: Any) -> dict[str, Any]:
    return {
        "d_model": 16,
        "encoder_layers": 2,
        "encoder_attention_heads": 2,
        "encoder_ffn_dim": 32,
        "decoder_layers": 1,
        "decoder_attention_heads": 2,
        "decoder_ffn_dim": 32,
        "max_source_positions": WHISPER_STEPS,
        "max_target_positions": 16,
        "vocab_size": 32,
        "pad_token_id": 0,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "decoder_start_token_id": 1,
        "init_std": 0.2,
        **options,
    }


def beats_config(**options: Any) -> dict[str, Any]:
    return {
        "hidden_size": 16,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 32,
        "patch_embed_dim": 8,
        "conv_pos_kernel_size": 16,
        "conv_pos_groups": 4,
        "num_buckets": 16,
        "max_distance": 40,
        "layerdrop": 0.0,
        "initializer_range": 0.2,
        **options,
    }


def collap_options(backbone: str = "gpt2", **options: Any) -> dict[str, Any]:
    """Fields of a tiny `CollapConfig`: windows of 1 s, kernels of 0.5 s, strides of 0.2 s."""
    return {
        "text_config": text_config(backbone),
        "whisper_config": whisper_config(),
        "beats_config": beats_config(),
        "projection_dim": 24,
        "window_seconds": WINDOW_SECONDS,
        "seconds_per_kernel": 0.5,
        "seconds_per_stride": 0.2,
        **options,
    }


def model(backbone: str = "gpt2", *, seed: int = 0, **options: Any) -> CollapModel:
    """A tiny model in evaluation mode, its weights large enough for inputs to matter."""
    torch.manual_seed(seed)
    options = {"initializer_range": 0.3, **options}
    return CollapModel(CollapConfig(**collap_options(backbone, **options))).eval()


def processor(backbone: str = "gpt2", **options: Any) -> CollapProcessor:
    return CollapProcessor(CollapFeatureExtractor(window_seconds=WINDOW_SECONDS, **options), tokenizer(backbone))


def tone(seconds: float, hertz: float = 440.0, *, seed: int = 0) -> np.ndarray:
    """A tone that swells and fades over a little noise, (samples,) at 16 kHz."""
    time = np.arange(round(seconds * RATE)) / RATE
    noise = np.random.default_rng(seed).normal(size=time.shape)
    return (0.4 * np.sin(2 * np.pi * hertz * time) * np.sin(np.pi * time) ** 2 + 0.02 * noise).astype(np.float32)


def batch(
    backbone: str = "gpt2", seconds: Sequence[float] = (2.6, 1.0, 0.4), texts: Sequence[str] | None = None
) -> BatchFeature:
    """One tone per entry of `seconds`, and one text each."""
    audio = [tone(length, 220.0 * (i + 1), seed=i) for i, length in enumerate(seconds)]
    texts = list(texts) if texts is not None else [CAPTIONS[i % len(CAPTIONS)][: 20 + 9 * i] for i in range(len(audio))]
    return processor(backbone)(audio=audio, text=texts, sampling_rate=RATE)


def row(index: int, *, seconds: float = 4.0, split: str = "train", source: str = "tones") -> dict[str, Any]:
    """A song in the dataset schema: two sections of a tone each, FLAC bytes."""
    hertz, half = 180.0 * 1.3**index, seconds / 2
    samples = np.concatenate([tone(half, hertz, seed=index), tone(half, 2 * hertz, seed=index)])
    encoded = AudioEncoder(torch.from_numpy(samples)[None], sample_rate=RATE).to_tensor("flac")
    # Some songs open with a global line, so that not all have as many passages.
    opening = f"song {index} of two tones"
    sections = [
        {"start": 0.0, "end": half, "label": "verse", "caption": f"a low tone of song {index}"},
        {"start": half, "end": seconds, "label": "chorus", "caption": f"a high tone of song {index}"},
    ]
    return {
        "id": f"song-{index}",
        "song_id": f"song-{index}",
        "audio": {"bytes": encoded.numpy().tobytes(), "path": None},
        "duration": seconds,
        "caption": "\n".join([opening] * (index % 4 < 2) + [f"{section_line(section)}." for section in sections]),
        "global_caption": opening,
        "structure": sections,
        "section_tags": [["pitch: low", "tones"], ["pitch: high", "tones"]],
        "source": source,
        "licence": "CC0-1.0",
        "split": split,
    }


def rows(count: int = 4, **options: Any) -> Dataset:
    """Songs of 3 to 6 s."""
    items = [row(i, **{"seconds": 3.0 + i % 4, **options}) for i in range(count)]
    return dataset_from_rows(items)


def write_dataset(folder: Path, train: int = 6, validation: int = 5) -> Path:
    """The songs as the parquet files that `load_dataset` reads."""
    (folder / "data").mkdir(parents=True)
    splits = {"train": rows(train), "validation": rows(validation, split="validation")}
    for name, split in splits.items():
        split.to_parquet(str(folder / "data" / f"{name}-00000-of-00001.parquet"))
    return folder


def recipe(dataset: Path, output: Path, **training: Any) -> dict[str, Any]:
    """A recipe that trains a tiny model from random weights, as the content of its YAML file."""
    options = collap_options()
    text = {"model_type": "gpt2", "n_embd": 16, "n_layer": 1, "n_head": 2, "n_positions": TEXT_LIMIT}
    return {
        "model": {"vocab_size": 280, "config": {**options, "text_config": text, "text_pooling": "mean"}},
        "data": {"dataset": str(dataset)},
        "training": {
            "output_dir": str(output),
            "use_cpu": True,
            "per_device_train_batch_size": 3,
            "per_device_eval_batch_size": 2,
            "max_steps": 4,
            "learning_rate": 0.001,
            "eval_strategy": "steps",
            "eval_steps": 2,
            "save_strategy": "steps",
            "save_steps": 2,
            "logging_steps": 1,
            "disable_tqdm": True,
            "seed": 0,
            **training,
        },
    }


def write_recipe(path: Path, content: dict[str, Any]) -> Path:
    path.write_text(json.dumps(content))  # JSON is YAML
    return path


def training_options(folder: Path, **options: Any) -> dict[str, Any]:
    """Options of `TrainingArguments` under which a trainer takes the tiny songs and writes nothing beside its log."""
    return {
        "output_dir": str(folder),
        "use_cpu": True,
        "remove_unused_columns": False,
        "label_names": [],
        "dataloader_drop_last": True,
        "per_device_train_batch_size": 3,
        "report_to": "none",
        "disable_tqdm": True,
        "save_strategy": "no",
        **options,
    }


def logged(folder: Path, name: str = "loss") -> dict[int, float]:
    """A value that a run logged, by step."""
    state = json.loads((folder / "trainer_state.json").read_text())
    return {entry["step"]: entry[name] for entry in state["log_history"] if name in entry}
