"""Audio language models of the real classes, tiny and random, saved as `save_pretrained` writes them."""

from collections.abc import Callable
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import (
    AudioFlamingo3Config,
    AudioFlamingo3ForConditionalGeneration,
    AudioFlamingo3Processor,
    MusicFlamingoConfig,
    MusicFlamingoForConditionalGeneration,
    MusicFlamingoProcessor,
    PreTrainedTokenizerFast,
    Qwen2AudioConfig,
    Qwen2AudioForConditionalGeneration,
    Qwen2AudioProcessor,
    WhisperFeatureExtractor,
)

_SPECIAL = ["<|im_start|>", "<|AUDIO|>", "<|audio_bos|>", "<|audio_eos|>", "<sound>", "<|sound_bos|>", "<|sound_eos|>"]
_FLAMINGO_TEMPLATE = """\
{% for message in messages %}<|im_start|>{{ message['role'] }}
{% for part in message['content'] %}{% if part['type'] == 'audio' %}<sound>{% else %}{{ part['text'] }}{% endif %}\
{% endfor %}<|im_end|>
{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant
{% endif %}"""


def tokenizer() -> PreTrainedTokenizerFast:
    """One token a byte."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    bytewise = Tokenizer(models.BPE(vocab={byte: number for number, byte in enumerate(alphabet)}, merges=[]))
    bytewise.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bytewise.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(
        tokenizer_object=bytewise,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        additional_special_tokens=_SPECIAL,
    )


def _text_config(words: PreTrainedTokenizerFast, room: int) -> dict:
    return {
        "model_type": "qwen2",
        "vocab_size": len(words),
        "hidden_size": 16,
        "intermediate_size": 32,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "max_position_embeddings": room,
        "eos_token_id": words.eos_token_id,
        "pad_token_id": words.pad_token_id,
    }


def save_qwen2_audio(folder: Path, room: int) -> None:
    words = tokenizer()
    encoder = {"num_mel_bins": 16, "encoder_layers": 1, "encoder_attention_heads": 2, "encoder_ffn_dim": 32}
    config = Qwen2AudioConfig(
        audio_config={"model_type": "qwen2_audio_encoder", "d_model": 16} | encoder,
        text_config=_text_config(words, room),
        audio_token_index=words.convert_tokens_to_ids("<|AUDIO|>"),
    )
    _save(folder, Qwen2AudioForConditionalGeneration(config))
    Qwen2AudioProcessor(WhisperFeatureExtractor(feature_size=16), words).save_pretrained(folder)


def save_audio_flamingo(folder: Path, room: int) -> None:
    words = tokenizer()
    config = AudioFlamingo3Config(
        audio_config=_flamingo_encoder(),
        text_config=_text_config(words, room),
        audio_token_id=words.convert_tokens_to_ids("<sound>"),
    )
    _save(folder, AudioFlamingo3ForConditionalGeneration(config))
    processor = AudioFlamingo3Processor(WhisperFeatureExtractor(feature_size=16), words, _FLAMINGO_TEMPLATE)
    processor.save_pretrained(folder)


def save_music_flamingo(folder: Path, room: int) -> None:
    words = tokenizer()
    config = MusicFlamingoConfig(
        audio_config=_flamingo_encoder(),
        text_config=_text_config(words, room),
        audio_token_id=words.convert_tokens_to_ids("<sound>"),
        audio_bos_token_id=words.convert_tokens_to_ids("<|sound_bos|>"),
        audio_eos_token_id=words.convert_tokens_to_ids("<|sound_eos|>"),
    )
    _save(folder, MusicFlamingoForConditionalGeneration(config))
    processor = MusicFlamingoProcessor(WhisperFeatureExtractor(feature_size=16), words, _FLAMINGO_TEMPLATE)
    processor.save_pretrained(folder)


SAVERS: dict[str, Callable[[Path, int], None]] = {
    "qwen2-audio": save_qwen2_audio,
    "audio-flamingo": save_audio_flamingo,
    "music-flamingo": save_music_flamingo,
}


def save_captioner(kind: str, folder: Path, *, room: int = 4096) -> Path:
    """A model of a kind, the same every time.

    Args:
        room: tokens of its context; a byte is one, and so are 40 ms of audio.
    """
    torch.manual_seed(0)
    SAVERS[kind](folder, room)
    return folder


def _flamingo_encoder() -> dict:
    return {
        "model_type": "audioflamingo3_encoder",
        "num_mel_bins": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "intermediate_size": 32,
        "hidden_size": 16,
    }


def _save(folder: Path, model) -> None:
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(4)  # initialised so small, the model would write one byte for ever
    words = tokenizer()
    generation = model.generation_config
    generation.eos_token_id = generation.forced_eos_token_id = words.eos_token_id  # it ends where its limit is
    generation.pad_token_id = words.pad_token_id
    generation.min_new_tokens = 8
    generation.suppress_tokens = words.convert_tokens_to_ids(_SPECIAL)
    model.save_pretrained(folder)
