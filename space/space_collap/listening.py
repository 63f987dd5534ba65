"""Uploaded tracks, encoded as an index encodes its own, and remembered for a while."""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from threading import Lock

import torch
from torch import Tensor

from retrieval_collap import TrackIndex

from .results import TrackView
from .uploads import Upload

Progress = Callable[[float, str], object]
"""Told how much of the work is done, from 0 to 1, and what is being done; `gr.Progress` is one."""

# Uploads that are remembered: a user asks several questions of one track. One of 10 minutes is 300 KB.
_REMEMBERED = 32
# Of the work, what reading and decoding take with a small model.
_DECODED = 0.5


@dataclass(frozen=True, slots=True)
class HeardTrack:
    """A track, and its fused sequence as an index compresses it."""

    track: TrackView
    sequence: bytes


class Listener:
    """Encodes uploads, one at a time: however many users there are, one track's samples are in memory.

    What it makes of a file is what the index would have made of it, so that scores of uploads and of the library's
    tracks compare. Nothing else waits for it.
    """

    def __init__(self, index: TrackIndex):
        self._index = index
        self._encoding, self._remembering = Lock(), Lock()
        self._heard: OrderedDict[str, HeardTrack] = OrderedDict()  # by the file's digest, the last used at the end

    def hear(self, path: Path, progress: Progress | None = None) -> HeardTrack:
        """
        Raises:
            SpaceError: the file cannot be used, see `Upload`.
        """
        report = progress or _in_silence
        report(0.0, "Reading the file")
        upload = Upload.of(path)
        if (known := self._recall(upload)) is not None:
            return known
        if self._encoding.locked():
            report(0.0, "Waiting for another track that is being encoded")
        with self._encoding:
            if (known := self._recall(upload)) is not None:  # by who was waited for
                return known
            report(0.0, "Decoding the track")
            heard = self._encode(upload, report)
        with self._remembering:
            self._heard[upload.digest] = heard
            while len(self._heard) > _REMEMBERED:
                self._heard.popitem(last=False)
        return heard

    def _recall(self, upload: Upload) -> HeardTrack | None:
        with self._remembering:
            if (heard := self._heard.get(upload.digest)) is None:
                return None
            self._heard.move_to_end(upload.digest)
        return HeardTrack(_view(upload, heard.track.duration), heard.sequence)  # the same bytes in another file

    @torch.inference_mode()
    def _encode(self, upload: Upload, report: Progress) -> HeardTrack:
        extractor = self._index.processor.feature_extractor
        samples = upload.decode(extractor.sampling_rate)  # (samples,)
        report(_DECODED, "Encoding the track")
        inputs = extractor(samples, sampling_rate=extractor.sampling_rate, return_tensors="pt")
        count = -(-len(samples) // extractor.window_samples)
        # The last two windows go together: the last one alone may be too short for an encoder.
        edges = [*range(max(count - 1, 1)), count]
        steps: list[Tensor] = []
        for first, last in pairwise(edges):
            windows = {name: tensor[:, first:last].to(self._index.model.device) for name, tensor in inputs.items()}
            features, lengths = self._index.model.get_audio_features(**windows)  # (1, T', D), (1,)
            steps.append(features[0, : lengths[0]])
            report(_DECODED + (1 - _DECODED) * last / count, "Encoding the track")
        sequence = self._index.compress(torch.cat(steps)).sequence
        return HeardTrack(_view(upload, len(samples) / extractor.sampling_rate), sequence)


def _view(upload: Upload, duration: float) -> TrackView:
    return TrackView(f"upload-{upload.digest[:12]}", upload.path.stem, upload.path, duration)


def _in_silence(share: float, doing: str) -> None:
    """For who does not want to know."""
