"""A library of tracks on disk, searched by text and by track in two stages."""

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from evaluation_collap.scorers.collap import load_collap
from modeling_collap import CollapModel, CollapTextFeatures, mean_steps
from processing_collap import CollapProcessor, load_audio

from ..library import AudioSource, Failure, embed_text
from ..localisation import Location, locate_text
from .metadata import Metadata
from .reading import FileReader, ReadFile
from .results import IndexInfo, IndexMatch, TextMatch, ranked_texts, ranked_tracks
from .rows import IndexedTrack
from .scoring import alignment_with_texts, likeness, sketch_scores
from .settings import IndexSettings
from .store import Near, TrackStore

# Tracks that `add` writes in one commit: a run that is cut short loses no more than these.
_TRACKS_PER_COMMIT = 64
# Sequences that a search holds at once: 80 MB of them. Fewer at a time take longer to read.
_TRACKS_AT_ONCE = 512
# Chosen by how many of the exact top ten of 51,300 made tracks a search finds, and what it costs beside scoring all of
# them: see docs/scaling.md.
_CANDIDATES = 500
_SKETCHES_PER_CANDIDATE = 12
_CANDIDATES_PER_RESULT = 10


class CompressedTrack(NamedTuple):
    """What an index keeps of a track's fused sequence: the fields of `IndexedTrack` of the same names."""

    vector: np.ndarray
    sequence: bytes
    steps: int


class TrackIndex:
    """Tracks of any number and length on disk, searched and located by text and by track.

    A search goes from coarse to fine: the tracks whose global vectors are nearest to the query's; of these, where the
    model scores passages, the candidates whose sketches fit best (what is heard where, in steps of some seconds); and
    the order of the candidates by the real score, from their compressed sequences. The same index and query always give
    the same results: equal scores are ordered by id.

    Args:
        store: the table.
        model, processor: those that its tracks were encoded with.

    Raises:
        ValueError: the index was made with another model.

    Example:
        ```python
        index = TrackIndex.create("library.index", model, processor)
        failures = index.add((path.name, path) for path in folder.glob("*.mp3"))
        for match in TrackIndex.open("library.index").search("a slow piano ballad", where="duration < 240"):
            print(match.rank, match.title, index.locate(match.id, "a slow piano ballad").best)
        ```
    """

    def __init__(self, store: TrackStore, model: CollapModel, processor: CollapProcessor):
        settings = store.settings
        settings.check(model, processor)
        self.store = store
        self.model = model.eval()
        self.processor = processor
        self.codec = settings.codec()

    @classmethod
    def create(
        cls,
        uri: str | PathLike[str],
        model: CollapModel,
        processor: CollapProcessor,
        *,
        name: str | None = None,
        seconds_per_step: float = 1.0,
        bits: int = 8,
        storage_options: Mapping[str, str] | None = None,
    ) -> Self:
        """A new index without tracks.

        Args:
            uri: a local folder, or a place in an object store.
            name: folder or Hub name that `open` loads the model from; by default where it was loaded from.
            seconds_per_step: over which the sequences are averaged, at most the model's stride.
            bits: of each number of a sequence, 8 or 4.
            storage_options: of the object store, see `TrackStore`.

        Raises:
            FileExistsError: there is an index already.
            ValueError: an option is out of range.
        """
        settings = IndexSettings.for_model(model, processor, name=name, seconds_per_step=seconds_per_step, bits=bits)
        return cls(TrackStore.create(uri, settings, storage_options=storage_options), model, processor)

    @classmethod
    def open(
        cls,
        uri: str | PathLike[str],
        model: CollapModel | None = None,
        processor: CollapProcessor | None = None,
        *,
        storage_options: Mapping[str, str] | None = None,
    ) -> Self:
        """The newest version of an index.

        Args:
            model, processor: those that made it; by default they are loaded from where the index says.

        Raises:
            FileNotFoundError: there is no index.
            ValueError: it was made with another model, or its model cannot be loaded.
        """
        if (model is None) != (processor is None):
            raise ValueError("model and processor belong together, but one of them is missing")
        store = TrackStore.open(uri, storage_options=storage_options)
        if model is None or processor is None:
            model, processor = load_collap(store.settings.model)
        return cls(store, model, processor)

    def __len__(self) -> int:
        return len(self.store)

    def info(self) -> IndexInfo:
        return IndexInfo.of(self.store)

    # Changing

    def add(self, sources: Iterable[tuple[str, AudioSource]]) -> list[Failure]:
        """Decode and encode tracks, given as pairs of an id and a path or encoded bytes; a known id is replaced.

        Returns:
            The tracks that could not be read; the others are in the index.
        """
        failures = []
        waiting: dict[str, IndexedTrack] = {}
        for track_id, source in sources:
            try:
                waiting[track_id] = self._read(track_id, source)
            except (ValueError, OSError) as error:
                failures.append(Failure(track_id, str(error)))
            if len(waiting) == _TRACKS_PER_COMMIT:
                self.write(list(waiting.values()))
                waiting = {}
        self.write(list(waiting.values()))
        return failures

    def write(self, tracks: Sequence[IndexedTrack]) -> None:
        """Insert tracks that were encoded before, or replace those of the same ids, in one commit."""
        self.store.write(tracks)

    def remove(self, ids: Iterable[str]) -> int:
        """Remove tracks in one commit; returns how many of the ids were there."""
        return self.store.remove(ids)

    @torch.inference_mode()
    def compress(self, features: Tensor) -> CompressedTrack:
        """What the index keeps of a track's fused sequence (T, D)."""
        mean = mean_steps(features[None], torch.tensor([len(features)], device=features.device))[0]  # (D,)
        sequence = self.codec.encode(features)
        return CompressedTrack(F.normalize(mean, dim=0).cpu().numpy(), sequence, self.codec.steps(sequence))

    @torch.inference_mode()
    def encode(self, inputs: Mapping[str, np.ndarray]) -> CompressedTrack:
        """`compress` of one track's features, as the feature extractor returns them."""
        tensors = {name: torch.from_numpy(values).to(self.model.device) for name, values in inputs.items()}
        features, lengths = self.model.get_audio_features(**tensors)  # (1, T, D), (1,)
        return self.compress(features[0, : lengths[0]])

    # Searching

    def embed(self, text: str) -> CollapTextFeatures:
        """A text, encoded once for all that is asked with it."""
        return embed_text(self.model, self.processor, text)

    def search(
        self,
        text: str | CollapTextFeatures,
        top: int = 10,
        *,
        where: str | None = None,
        candidates: int | None = None,
    ) -> list[IndexMatch]:
        """The `top` best tracks for a text, best first.

        Args:
            text: or what `embed` made of it.
            where: which tracks are looked at, in SQL: `duration > 120 AND array_has(tags, 'piano')`.
            candidates: how many tracks are scored in full: the more there are, the surer the best ones are among them,
                and the longer it takes. By default 500, or ten times `top` where that is more.

        Raises:
            ValueError: an option is out of range, or the filter cannot be read.
        """
        candidates = _checked(top, candidates)
        embedded = self._embedded(text)
        return self._ranked(
            self.candidates(embedded, candidates, where=where),
            lambda records: alignment_with_texts(self.model, self.codec, records, embedded)[:, 0],
            top,
        )

    def candidates(self, text: str | CollapTextFeatures, count: int, *, where: str | None = None) -> list[Near]:
        """The `count` tracks that `search` scores in full for a text, those likely to be best first.

        Args:
            text, where: as in `search`.

        Raises:
            ValueError: `count` is below 1, or the filter cannot be read.
        """
        embedded = self._embedded(text)
        passages = self.model.config.gamma_structure > 0
        vector = F.normalize(self.model.text_vectors(embedded)[0], dim=0).numpy()
        nearest = self.store.nearest(vector, count * (_SKETCHES_PER_CANDIDATE if passages else 1), where)
        if not passages or len(nearest) <= count:
            return nearest
        scored: list[tuple[float, str]] = []
        for ids, sketches in self.store.sketches(nearest):
            scores = sketch_scores(self.model, self.codec, sketches, embedded)  # (n,)
            # To what is sure of them: the tracks beside it move the last bits of a track's score.
            scored += zip((-scores).round(decimals=5).tolist(), ids, strict=True)
        by_id = {near.id: near for near in nearest}
        return [by_id[track_id] for _, track_id in sorted(scored)[:count]]

    def similar(
        self, track: AudioSource, top: int = 10, *, where: str | None = None, candidates: int | None = None
    ) -> list[IndexMatch]:
        """The `top` tracks that are most like one by `scoring.likeness`: other copies of a recording come first, or the
        song that a clip was cut from. A clip should fill a window of the model: encoders hear the silence behind it.

        Args:
            track: an id of the index, whose own track is then not among the results; or a path or encoded bytes.
            where, candidates: as in `search`.

        Raises:
            FileNotFoundError: it is neither an id nor a file.
            ValueError: the audio cannot be read, an option is out of range, or the filter cannot be read.
        """
        candidates = _checked(top, candidates)
        query, indexed = self._query(track)
        nearest = self.store.nearest(query.vector, candidates + indexed, where)
        if indexed:
            nearest = [near for near in nearest if near.id != query.id][:candidates]
        return self._ranked(nearest, lambda records: likeness(self.codec, query.sequence, records), top)

    def describe(self, track: AudioSource, texts: Sequence[str], top: int = 10) -> list[TextMatch]:
        """The `top` texts that fit a track best, best first; equal scores are in the order of the texts.

        Args:
            track: an id of the index, or a path or encoded bytes.

        Raises:
            FileNotFoundError: it is neither an id nor a file.
            ValueError: there is no text, `top` is below 1, or the audio cannot be read.
        """
        _checked(top)
        if not texts:
            raise ValueError("there is no text to describe the track with")
        query, _ = self._query(track)
        embedded = CollapTextFeatures.cat([self.embed(text) for text in texts])
        return ranked_texts(texts, alignment_with_texts(self.model, self.codec, [query.sequence], embedded)[0], top)

    def locate(self, track_id: str, text: str | CollapTextFeatures, max_spans: int = 3) -> Location:
        """Where in a track a text holds, to a stored step; see `retrieval_collap.locate`, and `locate_passages` for
        models that score passages.

        Args:
            text: or what `embed` made of it, for one that is looked for in many tracks.

        Raises:
            KeyError: the index holds no such track.
        """
        track = self.store.fetch([track_id])[0]
        steps = self.codec.decode([track.sequence])[0][0]  # (S, D)
        return locate_text(
            self.model,
            steps,
            self._embedded(text),
            duration=track.duration,
            max_spans=max_spans,
            pool=self.codec.pool,
        )

    def _ranked(self, found: Sequence[Near], score: Callable[[list[bytes]], Tensor], top: int) -> list[IndexMatch]:
        """The `top` best of these tracks by scores (N,) of their sequences, which are held a few at a time."""
        tracks, scores = [], [torch.zeros(0)]
        for first in range(0, len(found), _TRACKS_AT_ONCE):
            fetched = self.store.fetch_found(found[first : first + _TRACKS_AT_ONCE])
            scores.append(score([track.sequence for track in fetched]))
            tracks += [replace(track, sequence=b"") for track in fetched]
        return ranked_tracks(tracks, torch.cat(scores), top)

    def _query(self, track: AudioSource) -> tuple[IndexedTrack, bool]:
        """A track to start from, and whether it is one of the index."""
        if isinstance(track, str):
            try:
                return self.store.fetch([track])[0], True
            except KeyError:
                if not Path(track).is_file():
                    raise FileNotFoundError(f"{track} is neither a track of the index nor a file") from None
        return self._read("", track), False

    def _read(self, track_id: str, source: AudioSource) -> IndexedTrack:
        extractor = self.processor.feature_extractor
        if isinstance(source, bytes):
            rate, path = extractor.sampling_rate, ""
            samples = load_audio(source, rate)  # (samples,)
            inputs = extractor(samples, sampling_rate=rate, return_tensors="np").data
            digest = hashlib.sha256(source).hexdigest()
            read = ReadFile(len(source), 0.0, digest, Metadata(track_id), len(samples) / rate, inputs)
        else:
            path = str(source)
            read = FileReader(extractor)(Path(source))
        return row_of(track_id, path, read, read.duration, self.encode(read.inputs or {}))

    def _embedded(self, text: str | CollapTextFeatures) -> CollapTextFeatures:
        return self.embed(text) if isinstance(text, str) else text


def row_of(track_id: str, path: str, read: ReadFile, duration: float, encoded: CompressedTrack) -> IndexedTrack:
    """The row of a track: what was read of its file, and what the index keeps of its sound."""
    return IndexedTrack(
        id=track_id,
        path=path,
        title=read.metadata.title,
        duration=duration,
        content_hash=read.content_hash,
        size=read.size,
        modified=read.modified,
        tags=read.metadata.tags,
        **encoded._asdict(),
    )


def _checked(top: int, candidates: int | None = None) -> int:
    """How many candidates to look at.

    Raises:
        ValueError: a number is out of range.
    """
    if top < 1:
        raise ValueError(f"top must be at least 1, not {top}")
    if candidates is not None and candidates < top:
        raise ValueError(f"candidates must be at least the {top} results asked for, not {candidates}")
    return max(_CANDIDATES, _CANDIDATES_PER_RESULT * top) if candidates is None else candidates
