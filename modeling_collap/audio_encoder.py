"""A track of any length as one sequence: Whisper and BEATs window by window, fused and projected by the adapter h_A."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers.models.whisper.modeling_whisper import WhisperEncoder

from .configuration_collap import CollapConfig
from .modeling_beats import BeatsModel


class CollapAudioEncoder(nn.Module):
    """Encodes the windows of a batch of tracks and joins them in time, in two steps.

    First each encoder turns a window into its states (`encode_whisper`, `encode_beats`). Then every stream of states
    passes a layer norm of its own, the shorter one is zero-padded after its norm, both are concatenated as
    Whisper | BEATs and projected by the adapter, as in SALMONN (arXiv 2310.13289), and the windows are joined.

    The states of encoders that are not trained never change, so that they may be computed once and given instead of
    the features; the first step is then left out.
    """

    def __init__(self, config: CollapConfig):
        super().__init__()
        self.windows_per_chunk = config.windows_per_chunk
        self.pool_bands = config.beats_time_alignment == "pooled"
        self.whisper: WhisperEncoder | None = None
        self.beats: BeatsModel | None = None
        fused_size = 0
        if config.whisper_config is not None:
            self.whisper = WhisperEncoder._from_config(config.whisper_config)
            self.whisper_norm = nn.LayerNorm(config.whisper_config.d_model)
            fused_size += config.whisper_config.d_model
        if config.beats_config is not None:
            self.beats = BeatsModel._from_config(config.beats_config)
            self.beats_norm = nn.LayerNorm(config.beats_config.hidden_size)
            fused_size += config.beats_config.hidden_size
        self.adapter = nn.Linear(fused_size, config.projection_dim)

    def forward(
        self,
        input_features: Tensor | None = None,
        input_features_lengths: Tensor | None = None,
        fbank: Tensor | None = None,
        fbank_lengths: Tensor | None = None,
        whisper_states: Tensor | None = None,
        beats_states: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Fused sequence of every track.

        Args:
            input_features: log-mel windows (N, K, mel bins, frames); needed while the Whisper branch is on, unless its
                states are given.
            input_features_lengths: valid frames of each window (N, K); 0 marks a window that is padding.
            fbank: Kaldi filter-bank windows (N, K, frames, mel bins); needed while the BEATs branch is on, unless its
                states are given.
            fbank_lengths: valid frames of each window (N, K).
            whisper_states: what `encode_whisper` makes of the windows, (N, K, P, d_Whisper). Whisper is then not run.
            beats_states: what `encode_beats` makes of the windows, (N, K, Q, d_BEATs). BEATs is then not run.

        Returns:
            features (N, T, D) and lengths (N,) in time steps; steps at or past a track's length mean nothing.

        Raises:
            ValueError: if the input of an active branch is missing, states have the wrong shape, or a track has no
                valid step.
        """
        streams = self._streams(
            input_features, input_features_lengths, fbank, fbank_lengths, whisper_states, beats_states
        )
        window_steps = _most_steps(streams)  # (N, K)
        lengths = window_steps.sum(1)  # (N,)
        if not bool((lengths > 0).all()):
            raise ValueError(f"track {int((lengths == 0).nonzero()[0])} of the batch has no valid window.")
        present = window_steps > 0  # (N, K)
        streams = [stream.select(present) for stream in streams]

        # The encoders see a few windows at a time: what they hold in between never grows with the track.
        fused = torch.cat(
            [
                self._fuse([stream.select(slice(start, start + self.windows_per_chunk)) for stream in streams])
                for start in range(0, int(present.sum()), self.windows_per_chunk)
            ]
        )  # (windows, P, D)
        return _join_in_time(fused, present, window_steps), lengths

    def encode_windows(
        self,
        input_features: Tensor | None = None,
        input_features_lengths: Tensor | None = None,
        fbank: Tensor | None = None,
        fbank_lengths: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """The same for windows by themselves, all at once: nothing depends on values, so that it exports as a graph.

        Args:
            input_features, input_features_lengths, fbank, fbank_lengths: those of `forward`, with (windows,) in place
                of (N, K).

        Returns:
            fused (windows, P, D) and how many of the P steps are valid (windows,), 0 for one that is padding.
        """
        streams = self._streams(input_features, input_features_lengths, fbank, fbank_lengths)
        return self._fuse(streams), _most_steps(streams)

    def encode_whisper(self, windows: Tensor, frames: Tensor) -> Tensor:
        """Whisper's last hidden states of some windows.

        Args:
            windows: log-mel (windows, mel bins, frames). Whisper was trained on padded windows and hears the padding.
            frames: valid frames (windows,), of which it makes no use.

        Returns:
            (windows, P, d_Whisper), a step every 20 ms.
        """
        assert self.whisper is not None
        return self.whisper(windows.to(self.adapter.weight.dtype)).last_hidden_state

    def encode_beats(self, windows: Tensor, frames: Tensor) -> Tensor:
        """BEATs' last hidden states of some windows.

        Args:
            windows: Kaldi filter banks (windows, frames, mel bins).
            frames: valid frames (windows,); BEATs hears no other.

        Returns:
            (windows, Q, d_BEATs), 8 bands every 160 ms; states past a window's frames mean nothing.
        """
        assert self.beats is not None
        mask = torch.arange(windows.shape[1], device=windows.device) < frames[:, None]  # (windows, frames)
        return self.beats(windows.to(self.adapter.weight.dtype), mask).last_hidden_state

    def _streams(
        self,
        input_features: Tensor | None,
        input_features_lengths: Tensor | None,
        fbank: Tensor | None,
        fbank_lengths: Tensor | None,
        whisper_states: Tensor | None = None,
        beats_states: Tensor | None = None,
    ) -> "list[_Stream]":
        streams: list[_Stream] = []
        if self.whisper is not None:
            live = whisper_states is None
            windows = input_features if live else whisper_states
            windows, frames = _given(windows, input_features_lengths, "input_features", "Whisper")
            steps = (frames + 1) // 2
            streams.append(_Stream(windows, frames, steps, self.encode_whisper if live else None, self._norm_whisper))
            if not live:
                _check_states(windows, steps, "whisper_states", self.whisper_norm)
        if self.beats is not None:
            live = beats_states is None
            windows, frames = _given(fbank if live else beats_states, fbank_lengths, "fbank", "BEATs")
            steps = frames // self.beats.config.patch_size * self.beats.config.num_frequency_patches
            streams.append(_Stream(windows, frames, steps, self.encode_beats if live else None, self._norm_beats))
            if not live:
                _check_states(windows, steps, "beats_states", self.beats_norm)
        return streams

    def _norm_whisper(self, states: Tensor, steps: Tensor) -> Tensor:
        return self.whisper_norm(states.to(self.whisper_norm.weight.dtype))  # (windows, P, d_Whisper)

    def _norm_beats(self, states: Tensor, steps: Tensor) -> Tensor:
        assert self.beats is not None
        states = states.to(self.beats_norm.weight.dtype)
        if self.pool_bands:
            bands = self.beats.config.num_frequency_patches
            states = states.unflatten(1, (-1, bands)).mean(2).repeat_interleave(bands, dim=1)  # (windows, Q, d_BEATs)
        states = self.beats_norm(states)
        # A window's last steps may have no BEATs token: they are zeros, as if the stream had ended there.
        ended = torch.arange(states.shape[1], device=states.device) >= steps[:, None]
        return states.masked_fill(ended[..., None], 0.0)

    def _fuse(self, streams: "list[_Stream]") -> Tensor:
        states = [stream.read() for stream in streams]
        steps = max(stream.shape[1] for stream in states)
        padded = [F.pad(stream, (0, 0, 0, steps - stream.shape[1])) for stream in states]
        return self.adapter(torch.cat(padded, dim=-1))  # (windows, P, D)


@dataclass
class _Stream:
    """One branch of a batch.

    Args:
        windows: what the encoder hears of each window, or its states where `encode` is `None`.
        frames: valid frames of each window.
        steps: how many valid steps each window yields.
        encode: windows and frames to states.
        norm: states and steps to what is fused.
    """

    windows: Tensor
    frames: Tensor
    steps: Tensor
    encode: Callable[[Tensor, Tensor], Tensor] | None
    norm: Callable[[Tensor, Tensor], Tensor]

    def select(self, windows: Tensor | slice) -> "_Stream":
        """Some of the windows; a mask (N, K) leaves (windows, ...) of (N, K, ...)."""
        return replace(self, windows=self.windows[windows], frames=self.frames[windows], steps=self.steps[windows])

    def read(self) -> Tensor:
        """The windows' states, normed: (windows, steps, d)."""
        states = self.windows if self.encode is None else self.encode(self.windows, self.frames)
        return self.norm(states, self.steps)


def _most_steps(streams: list[_Stream]) -> Tensor:
    """Valid steps of each window: those of its longest stream."""
    return torch.stack([stream.steps for stream in streams]).amax(0)


def _join_in_time(windows: Tensor, present: Tensor, window_steps: Tensor) -> Tensor:
    """Puts the windows (windows, P, D) of every track one after another: (N, T, D)."""
    tracks, slots = present.shape
    starts = window_steps.cumsum(1) - window_steps  # (N, K): the step at which a window begins
    steps = int(window_steps.sum(1).max())
    full = windows.shape[1]
    regular = bool((starts == torch.arange(slots, device=starts.device) * full)[present].all())
    if not regular:
        raise ValueError("only the last window of a track may be shorter than the others.")
    if bool(present.all()):
        return windows.view(tracks, slots * full, -1)[:, :steps]
    joined = windows.new_zeros(tracks, slots, full, windows.shape[-1])
    joined[present] = windows
    return joined.view(tracks, slots * full, -1)[:, :steps]


def _given(windows: Tensor | None, frames: Tensor | None, name: str, branch: str) -> tuple[Tensor, Tensor]:
    if windows is None or frames is None:
        raise ValueError(
            f"the {branch} branch needs {name} and {name}_lengths, but they are missing; the processor returns them, "
            f"or switch the branch off with {branch.lower()}_config=None."
        )
    return windows, frames


def _check_states(states: Tensor, steps: Tensor, name: str, norm: nn.LayerNorm) -> None:
    (size,), least = norm.normalized_shape, int(steps.max())
    if states.ndim != 4 or states.shape[:2] != steps.shape or states.shape[2] < least or states.shape[3] != size:
        raise ValueError(
            f"{name} must be {tuple(steps.shape)} windows of at least {least} steps of {size} values, "
            f"not of shape {tuple(states.shape)}."
        )
