"""Any server that speaks OpenAI's chat completions and takes audio, such as vLLM."""

import base64
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, ClassVar, Literal

import numpy as np

from ..stage import ItemError
from .base import Captioner, Refusal, Track, UnreadableAudioError, answer, read_mono
from .prompt import caption_prompt


@dataclass
class ServerCaptioner(Captioner):
    """Sends each recording as mono audio within the request, with the prompt; greedy, with a fixed seed."""

    source: ClassVar[str] = "openai"
    incidental: ClassVar[tuple[str, ...]] = ("base_url", "key_variable", "workers", "timeout", "retries")

    base_url: str
    """Up to the version, as in "http://localhost:8000/v1"."""
    model: str
    """As the server lists it."""
    key_variable: str = "OPENAI_API_KEY"
    """Environment variable with the key; servers of one's own mostly want none."""
    part: Literal["input_audio", "audio_url"] = "input_audio"
    """How audio stands in a message: OpenAI's way, or vLLM's older one, a data address."""
    audio_format: Literal["wav", "mp3", "flac"] = "wav"
    """A minute at 16 kHz takes 1.9 MB as wav and about 0.2 MB as mp3."""
    sampling_rate: int = 16000
    """Hz."""
    max_tokens: int = 768
    keep_unfinished: bool = False
    """Whether a description that the token limit cut off is kept; otherwise it is a ledger entry."""
    workers: int = 4
    """Requests at a time."""
    timeout: float = 600.0
    """Seconds for one answer."""
    retries: int = 5
    """After failed connections, time-outs, and answers 408, 409, 429 and 5xx; each waits longer than the one before."""

    @property
    def writer(self) -> str:
        return self.model

    def check(self) -> None:
        import openai

        for option, least in {"workers": 1, "max_tokens": 1, "sampling_rate": 1, "retries": 0}.items():
            if getattr(self, option) < least:
                raise ValueError(f"caption.{option} must be at least {least}, not {getattr(self, option)}")
        if self.timeout <= 0:
            raise ValueError(f"caption.timeout must be above 0, not {self.timeout}")
        if not self.base_url.startswith(("http://", "https://")):
            raise ValueError(f"caption.base_url must be a web address, not {self.base_url!r}")
        with self._connect() as client:
            try:
                models = [model.id for model in client.models.list()]
            except openai.OpenAIError as error:
                raise ConnectionError(
                    f"caption.base_url: {self.base_url} does not list models ({_cause(error)})"
                ) from None
            if self.model not in models:
                near = get_close_matches(self.model, models, n=1) or models[:5]
                raise ValueError(
                    f"caption.model: {self.base_url} has no {self.model!r}, but {', '.join(near) or 'none'}"
                )
            try:
                self._ask(client, np.zeros(self.sampling_rate, np.float32), limit=1)
            except openai.OpenAIError as error:
                raise ValueError(f"caption.model: {self.model} takes no audio from us ({_cause(error)})") from None

    def start(self) -> None:
        self._client = self._connect()

    def describe(self, tracks: Sequence[Track]) -> list[str | Refusal]:
        with ThreadPoolExecutor(self.workers) as pool:
            try:
                return list(pool.map(self._describe, tracks))
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise

    def _describe(self, track: Track) -> str | Refusal:
        import openai

        assert track.path is not None
        try:
            choice = self._ask(self._client, read_mono(track.path, self.sampling_rate), limit=self.max_tokens)
        except UnreadableAudioError as error:
            return Refusal(str(error))
        except openai.APIStatusError as error:
            about_it = error.status_code in (400, 413, 422) or (error.status_code >= 500 and self._answers())
            if not about_it:
                raise ItemError(track.id, f"{self.base_url} refuses to go on: {_cause(error)}") from None
            return Refusal(f"refused by the server: {_cause(error)}")
        except openai.OpenAIError as error:
            if isinstance(error, openai.APITimeoutError) and self._answers():
                return Refusal("too slow: the server gave no answer in time")
            raise ItemError(track.id, f"{self.base_url} does not answer: {_cause(error)}") from None
        cut = choice.finish_reason == "length"
        return answer(choice.message.content, cut_after=self.max_tokens if cut else None, keep=self.keep_unfinished)

    def _ask(self, client: Any, samples: np.ndarray, *, limit: int) -> Any:
        """The server's answer about a recording.

        Args:
            samples: (L,) at `sampling_rate`.
            limit: tokens of the answer.
        """
        encoded = base64.b64encode(_encode(samples, self.sampling_rate, self.audio_format)).decode()
        if self.part == "input_audio":
            part = {"type": "input_audio", "input_audio": {"data": encoded, "format": self.audio_format}}
        else:
            part = {"type": "audio_url", "audio_url": {"url": f"data:audio/{self.audio_format};base64,{encoded}"}}
        request = {"type": "text", "text": caption_prompt(len(samples) / self.sampling_rate)}
        completion = client.chat.completions.create(
            model=self.model,
            messages=[{"role": "user", "content": [part, request]}],
            max_completion_tokens=limit,
            temperature=0,
            seed=0,
        )
        return completion.choices[0]

    def _connect(self) -> Any:
        from openai import OpenAI

        return OpenAI(
            base_url=self.base_url,
            api_key=os.environ.get(self.key_variable) or "none",
            timeout=self.timeout,
            max_retries=self.retries,
        )

    def _answers(self) -> bool:
        """Whether the server is alive, so that a failure is the track's."""
        import openai

        try:
            self._client.models.list()
        except openai.OpenAIError:
            return False
        return True


def _encode(samples: np.ndarray, sampling_rate: int, audio_format: str) -> bytes:
    """A file's bytes from samples (L,)."""
    import torch
    from torchcodec.encoders import AudioEncoder

    encoder = AudioEncoder(torch.from_numpy(samples)[None], sample_rate=sampling_rate)
    return encoder.to_tensor(format=audio_format).numpy().tobytes()


def _cause(error: Exception) -> str:
    """The server's own words where it has any."""
    body = getattr(error, "body", None)
    said = body.get("message") if isinstance(body, dict) else None
    status = getattr(error, "status_code", None)
    return ": ".join(filter(None, [f"HTTP {status}" if status else "", str(said or error)]))[:300]
