"""A searchable set of encoded tracks, held in memory."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from os import PathLike

import torch
from torch import Tensor

from modeling_collap import CollapModel, CollapTextFeatures
from processing_collap import CollapProcessor, load_audio

from .localisation import Location, locate_text

AudioSource = str | PathLike[str] | bytes

# Tracks are scored in groups of at most this many padded time steps (200 MB of them at D = 512).
_STEPS_PER_GROUP = 100_000


@dataclass(frozen=True, slots=True)
class Track:
    """An encoded track: its fused audio sequence (T, D) and its duration in seconds."""

    id: str
    features: Tensor
    duration: float


@dataclass(frozen=True, slots=True)
class Match:
    """A track that a search found; `rank` counts from 1, `score` is the fused score of eq (7)."""

    rank: int
    track: Track
    score: float


@dataclass(frozen=True, slots=True)
class Failure:
    """A track that could not be read, and why."""

    id: str
    reason: str


class TrackLibrary:
    """Tracks of any length, encoded one at a time, searched and located by text.

    The same tracks and texts always give the same results: equal scores are ordered by id.

    Example:
        ```python
        library = TrackLibrary(model, processor)
        failures = library.add((path.name, path) for path in folder.glob("*.mp3"))
        for match in library.search(["a slow piano ballad"], top=5)[0]:
            print(match.rank, match.track.id, library.locate(match.track.id, "a slow piano ballad").best)
        ```
    """

    def __init__(self, model: CollapModel, processor: CollapProcessor):
        self.model = model.eval()
        self.processor = processor
        self._tracks: dict[str, Track] = {}

    def __len__(self) -> int:
        return len(self._tracks)

    def __iter__(self) -> Iterator[Track]:
        """Tracks in the order of their ids."""
        return (self._tracks[track_id] for track_id in sorted(self._tracks))

    def __getitem__(self, track_id: str) -> Track:
        if track_id not in self._tracks:
            raise KeyError(f"the library holds no track {track_id!r}")
        return self._tracks[track_id]

    def add(self, sources: Iterable[tuple[str, AudioSource]]) -> list[Failure]:
        """Decode and encode tracks, given as pairs of an id and a path or encoded bytes; a known id is replaced.

        Returns:
            The tracks that could not be read; the others are in the library.
        """
        failures = []
        for track_id, source in sources:
            try:
                self._tracks[track_id] = self._encode(track_id, source)
            except (ValueError, OSError) as error:
                failures.append(Failure(track_id, str(error)))
        return failures

    def scores(self, texts: Sequence[str]) -> Tensor:
        """Fused scores (M, N) of the texts with all tracks, in the order of iteration.

        Raises:
            ValueError: the library is empty, or there is no text.
        """
        if not self._tracks:
            raise ValueError("the library is empty: add tracks before searching")
        return self._scores(self._embed(texts))

    def search(self, texts: Sequence[str], top: int = 10) -> list[list[Match]]:
        """The `top` best tracks for every text, best first."""
        if top < 1:
            raise ValueError(f"top must be at least 1, not {top}")
        tracks = list(self)
        results = []
        for row in self.scores(texts):
            order = row.argsort(descending=True, stable=True)[:top].tolist()
            results.append([Match(rank, tracks[i], float(row[i])) for rank, i in enumerate(order, start=1)])
        return results

    def locate(self, track_id: str, text: str, max_spans: int = 3) -> Location:
        """Where in a track a text holds; see `retrieval_collap.locate`, and `locate_passages` for models that score
        passages.

        Raises:
            KeyError: the library holds no such track.
        """
        track = self[track_id]
        return locate_text(
            self.model, track.features, self._embed([text]), duration=track.duration, max_spans=max_spans
        )

    @torch.inference_mode()
    def _encode(self, track_id: str, source: AudioSource) -> Track:
        rate = self.processor.feature_extractor.sampling_rate
        audio = load_audio(source, sampling_rate=rate)  # (samples,)
        inputs = self.processor(audio=audio.numpy(), sampling_rate=rate, return_tensors="pt").to(self.model.device)
        features, lengths = self.model.get_audio_features(**inputs)  # (1, T, D), (1,)
        return Track(track_id, features[0, : lengths[0]].float().cpu(), len(audio) / rate)

    def _embed(self, texts: Sequence[str]) -> CollapTextFeatures:
        """One text at a time: a batch pads, and padding may move the last bits of an embedding."""
        if not texts:
            raise ValueError("no text to search for")
        return CollapTextFeatures.cat([embed_text(self.model, self.processor, text) for text in texts])

    @torch.inference_mode()
    def _scores(self, texts: CollapTextFeatures) -> Tensor:
        """(M, N)."""
        device = self.model.device
        texts = texts.to(device)
        columns = []
        for group in _groups(list(self)):
            lengths = torch.tensor([len(track.features) for track in group], device=device)  # (N,)
            features = torch.nn.utils.rnn.pad_sequence([track.features for track in group], batch_first=True)
            columns.append(self.model.fused_score(features.to(device), lengths, texts).T.cpu())
        return torch.cat(columns, dim=1)


@torch.inference_mode()
def embed_text(model: CollapModel, processor: CollapProcessor, text: str) -> CollapTextFeatures:
    """One text as tracks are scored against it, in float32 on the CPU."""
    inputs = processor(text=[text], return_tensors="pt").to(model.device)
    return model.encode_text(**inputs).float().to("cpu")


def _groups(tracks: list[Track]) -> Iterator[list[Track]]:
    """Consecutive tracks that stay within `_STEPS_PER_GROUP` time steps when padded to the longest of them."""
    group: list[Track] = []
    longest = 0
    for track in tracks:
        longest = max(longest, len(track.features))
        if group and longest * (len(group) + 1) > _STEPS_PER_GROUP:
            yield group
            group, longest = [], len(track.features)
        group.append(track)
    if group:
        yield group
