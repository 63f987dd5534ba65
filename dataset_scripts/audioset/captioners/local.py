"""Audio language models of transformers, run here: Qwen2-Audio, Audio Flamingo 3, Music Flamingo and their like."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from ..stage import ItemError
from .base import Captioner, Refusal, Track, UnreadableAudioError, answer, read_mono
from .prompt import caption_prompt

_AUTO_CLASSES = ("AutoModelForMultimodalLM", "AutoModelForSeq2SeqLM")
"""Where transformers keeps its audio language models: the Flamingos are in the second only."""


@dataclass
class TransformersCaptioner(Captioner):
    """Any model with a processor that takes audio in its chat template; greedy, so the same every time.

    Recordings are never cut off: a model that hears 30 s at a time (Qwen2-Audio) is given consecutive pieces of equal
    length, and what goes beyond a model's context is refused.
    """

    source: ClassVar[str] = "transformers"
    incidental: ClassVar[tuple[str, ...]] = ("model", "name", "device")

    model: str
    """A folder as `save_pretrained` writes it, or a name on the Hub."""
    revision: str | None = None
    """Of a model on the Hub."""
    name: str | None = None
    """How the model is called in the data; by default its name on the Hub or its folder's."""
    dtype: str = "auto"
    """Of the weights, such as bfloat16; "auto" is the one they were saved in."""
    device: str | None = None
    """Such as "cuda" or "cpu"; "auto" spreads the model over all GPUs; none takes a GPU where there is one."""
    batch_size: int = 1
    max_new_tokens: int = 768
    keep_unfinished: bool = False
    """Whether a description that the token limit cut off is kept; otherwise it is a ledger entry."""

    def __post_init__(self) -> None:
        folder = Path(self.model).expanduser()
        if folder.is_dir():
            self.model = str(folder.absolute())  # processes may start elsewhere

    @property
    def writer(self) -> str:
        return self.name or (Path(self.model).name if Path(self.model).is_dir() else self.model)

    def settings(self) -> dict[str, Any]:
        return super().settings() | {"model": self._digest() if Path(self.model).is_dir() else self.model}

    def check(self) -> None:
        import torch

        for option in ("batch_size", "max_new_tokens"):
            if getattr(self, option) < 1:
                raise ValueError(f"caption.{option} must be at least 1, not {getattr(self, option)}")
        if self.dtype != "auto" and not isinstance(getattr(torch, self.dtype, None), torch.dtype):
            raise ValueError(f"caption.dtype must be a type of torch such as bfloat16, or auto, not {self.dtype!r}")
        if self.device not in (None, "auto"):
            try:
                torch.device(self.device)
            except RuntimeError:
                raise ValueError(f"caption.device: torch knows no device {self.device!r}") from None
        folder = Path(self.model)
        if not folder.is_dir() and (folder.is_absolute() or self.model.count("/") != 1):
            raise FileNotFoundError(f"caption.model: there is no folder {self.model}")
        if folder.is_dir() and not _weights(folder):
            raise FileNotFoundError(f"caption.model: {self.model} holds no weights")
        self._auto_class()
        self._demand_audio(self._processor())

    def start(self) -> None:
        import torch

        device = self.device or ("cuda" if torch.cuda.is_available() else "cpu")
        self._processor_ = self._processor()
        self._model = (
            self._auto_class()
            .from_pretrained(self.model, revision=self.revision, dtype=self.dtype, device_map=device)
            .eval()
        )
        greedy = self._model.generation_config
        greedy.do_sample, greedy.num_beams = False, 1
        greedy.temperature = greedy.top_p = greedy.top_k = None

    def describe(self, tracks: Sequence[Track]) -> list[str | Refusal]:
        results: list[str | Refusal] = []
        for first in range(0, len(tracks), self.batch_size):
            results += self._batch(tracks[first : first + self.batch_size])
        return results

    def _batch(self, tracks: Sequence[Track]) -> list[str | Refusal]:
        """One generation for those tracks that can be heard."""
        heard = [self._hear(track) for track in tracks]
        chats = [chat for chat in heard if not isinstance(chat, Refusal)]
        try:
            texts = iter(self._generate(chats) if chats else ())
        except MemoryError as error:
            raise ItemError(tracks[0].id, f"{error}; a smaller caption.batch_size needs less") from error
        return [one if isinstance(one, Refusal) else next(texts) for one in heard]

    def _hear(self, track: Track) -> list[dict[str, Any]] | Refusal:
        """The conversation about a track, with its audio."""
        extractor = self._processor_.feature_extractor
        assert track.path is not None
        try:
            samples = read_mono(track.path, extractor.sampling_rate)  # (L,)
        except UnreadableAudioError as error:
            return Refusal(str(error))
        seconds = len(samples) / extractor.sampling_rate
        whole = getattr(self._processor_, "max_audio_len", None)
        if whole is not None and seconds > whole:
            return Refusal(f"too long: {seconds:.0f} s, and {self.writer} hears {whole:.0f} s")
        # A processor without a limit of its own cuts off what its feature extractor does not take.
        pieces = 1 if whole is not None else math.ceil(seconds / extractor.chunk_length)
        chat = _chat(np.array_split(samples, pieces), caption_prompt(seconds, pieces))
        room = getattr(self._model.config.get_text_config(), "max_position_embeddings", None)
        needed = self._inputs([chat])["input_ids"].shape[1] + self.max_new_tokens
        if room is not None and needed > room:
            return Refusal(f"too long: {needed} tokens with the answer, and {self.writer} has room for {room}")
        return chat

    def _inputs(self, chats: list[list[dict[str, Any]]]) -> Any:
        # Of the text alone: audio has a padding of its own. Left, so that every answer begins where its prompt ends.
        padding = {"text_kwargs": {"padding": True, "padding_side": "left"}}
        return self._processor_.apply_chat_template(
            chats,
            add_generation_prompt=True,
            tokenize=True,
            return_dict=True,
            return_tensors="pt",
            processor_kwargs=padding,
        )

    def _generate(self, chats: list[list[dict[str, Any]]]) -> list[str | Refusal]:
        import torch

        inputs = self._inputs(chats).to(self._model.device, dtype=self._model.dtype)
        try:
            with torch.inference_mode():
                tokens = self._model.generate(**inputs, max_new_tokens=self.max_new_tokens)
        except torch.OutOfMemoryError:
            raise MemoryError(f"{self.writer} runs out of memory with {len(chats)} tracks at a time") from None
        written = tokens[:, inputs["input_ids"].shape[1] :]  # (B, new tokens)
        ends = self._model.generation_config.eos_token_id
        ended = torch.isin(written, torch.tensor([] if ends is None else ends, device=written.device)).any(1)
        texts = self._processor_.tokenizer.batch_decode(written, skip_special_tokens=True)
        limits = [None if end else self.max_new_tokens for end in ended.tolist()]
        return [
            answer(text, cut_after=limit, keep=self.keep_unfinished) for text, limit in zip(texts, limits, strict=True)
        ]

    def _auto_class(self) -> Any:
        """The `AutoModel` class that has the model.

        Raises:
            OSError: there is no such model.
            ValueError: it is none that transformers can ask about audio.
        """
        import transformers

        try:
            config = transformers.AutoConfig.from_pretrained(self.model, revision=self.revision)
        except (OSError, ValueError) as error:
            raise type(error)(f"caption.model: {self.model} has no readable config ({_first_line(error)})") from None
        for name in _AUTO_CLASSES:
            kind = getattr(transformers, name)
            if type(config) in kind._model_mapping:
                return kind
        raise ValueError(
            f"caption.model: {self.model} is a {config.model_type}, which transformers {transformers.__version__} does "
            "not have among its multimodal language models"
        )

    def _processor(self) -> Any:
        from transformers import AutoProcessor

        try:
            return AutoProcessor.from_pretrained(self.model, revision=self.revision)
        except (OSError, ValueError) as error:
            raise type(error)(f"caption.model: {self.model} has no readable processor ({_first_line(error)})") from None

    def _demand_audio(self, processor: Any) -> None:
        """Raises ValueError where the processor takes no audio, or its chat template does not pass it on."""
        if not hasattr(getattr(processor, "feature_extractor", None), "sampling_rate"):
            raise ValueError(f"caption.model: {self.model} takes no audio")
        if not getattr(processor, "chat_template", None):
            raise ValueError(f"caption.model: the processor of {self.model} has no chat template")
        silence = np.zeros(1, np.float32)
        heard, unheard = (
            processor.apply_chat_template(_chat(audio, "Hello"), add_generation_prompt=True)
            for audio in ([silence], [])
        )
        if heard == unheard:
            raise ValueError(f"caption.model: the chat template of {self.model} leaves audio out")

    def _digest(self) -> str:
        """Of the configuration and of the weights' names and sizes: reading 15 GB each time would take minutes."""
        folder = Path(self.model)
        sizes = "".join(f"{file.name} {file.stat().st_size}\n" for file in _weights(folder))
        return sha256((folder / "config.json").read_bytes() + sizes.encode()).hexdigest()


def _chat(audio: Sequence[np.ndarray], request: str) -> list[dict[str, Any]]:
    pieces = [{"type": "audio", "audio": piece} for piece in audio]
    return [{"role": "user", "content": [*pieces, {"type": "text", "text": request}]}]


def _weights(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.safetensors")) or sorted(folder.glob("*.bin"))


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]
