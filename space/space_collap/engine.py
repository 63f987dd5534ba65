"""Everything that the app does, without a user interface: find music, describe a track, compare two descriptions."""

from collections.abc import Sequence
from pathlib import Path
from threading import Lock
from typing import Self

import torch

from evaluation_collap.prompts import TAG_PROMPTS, fill_prompt
from evaluation_collap.scorers.collap import CollapScorer, load_collap
from modeling_collap import CollapTextFeatures
from retrieval_collap import Location
from retrieval_collap.index.scoring import alignment_with_texts
from retrieval_collap.localisation import locate_text

from .library import SpaceLibrary
from .limits import SpaceError, checked_labels, checked_text, checked_top
from .listening import HeardTrack, Listener, Progress
from .results import Comparison, Description, Result, Section, TagResult, TextResult, TrackView
from .swapping import swap_sections

__all__ = [
    "Comparison",
    "Description",
    "Engine",
    "Progress",
    "Result",
    "Section",
    "SpaceError",
    "TagResult",
    "TextResult",
    "TrackView",
]

_SPANS = 3


class Engine:
    """One model, one library, any number of users at once.

    Answers do not depend on who else asks. Texts are encoded one at a time, for tokenizers are not made for several
    threads; uploads are encoded one at a time, see `Listener`; and scoring needs no turn at all, so that a search never
    waits for an upload.

    Raises:
        SpaceError: of every method, when a user can put it right; the message says what.

    Example:
        ```python
        engine = Engine.open("checkpoints/collap-mini", Path("library"))
        for result in engine.find("a slow piano ballad"):
            print(result.track.title, result.location.best)
        ```
    """

    def __init__(self, library: SpaceLibrary):
        self._library = library
        self._index = library.index
        self._model = library.index.model
        self._texts = CollapScorer(self._model, library.index.processor)
        self._listener = Listener(library.index)
        self._reading = Lock()
        self._captioned = [track for track in library.tracks.values() if track.caption]
        # 17 ms a caption with collap-mini, once, so that no user waits for them.
        captions = [self._embed(track.caption) for track in self._captioned]
        self._captions = CollapTextFeatures.cat(captions) if captions else None

    @classmethod
    def open(cls, model: str, library: Path) -> Self:
        """
        Args:
            model: folder or Hub name.
            library: a folder that `build_library` made with this model.

        Raises:
            SpaceError: the model or the library cannot be opened, or they do not belong together.
        """
        try:
            loaded, processor = load_collap(model)
        except ValueError as error:
            raise SpaceError(f"{error}.") from error
        engine = cls(SpaceLibrary.open(library, loaded, processor))
        engine.find("music", top=1)  # what is set up on first use is set up before the first user comes
        return engine

    @property
    def tracks(self) -> tuple[TrackView, ...]:
        """The library's tracks, by title."""
        return tuple(self._library.tracks.values())

    def track(self, track_id: str) -> TrackView:
        """
        Raises:
            SpaceError: the library has no such track.
        """
        if track_id not in self._library.tracks:
            raise SpaceError(f"The library has no track “{track_id}”.")
        return self._library.tracks[track_id]

    def is_cut(self, text: str) -> bool:
        """Whether the model reads only the beginning of a text."""
        with self._reading:
            return self._texts.is_cut(text)

    def find(self, text: str, top: int = 5) -> list[Result]:
        """The tracks of the library that fit a text best, best first.

        Raises:
            SpaceError: the text is empty or too long.
        """
        embedded = self._embed(checked_text(text))
        return [
            Result(self.track(match.id), match.score, self._index.locate(match.id, embedded, _SPANS))
            for match in self._index.search(embedded, checked_top(top))
        ]

    def describe(
        self, track: str | Path, *, labels: Sequence[str] = (), top: int = 5, progress: Progress | None = None
    ) -> Description:
        """What fits a track: descriptions of the library's songs, and labels of the user's own.

        A label is put into the sentences of `TAG_PROMPTS`, and its score is the mean of theirs. Its share is the
        softmax of the scores at the model's own temperature, that of its training: how the model would bet if one of
        these labels were right and all others wrong. So shares tell the labels' order and how clear it is; they depend
        on which labels were asked for, and are not probabilities that a label is true.

        Args:
            track: a string is an id of the library, a `Path` an uploaded file.
            labels: any words; none for no tags.
            top: of the descriptions.
            progress: told how far it is.

        Raises:
            SpaceError: there is no such track, the file cannot be used, or there are too many labels.
        """
        labels, top = checked_labels(labels), checked_top(top)
        heard = self._heard(track, progress)
        return Description(heard.track, self._descriptions(heard, top), self._tags(heard, labels))

    def compare(self, track: str | Path, first: str, second: str, *, progress: Progress | None = None) -> Comparison:
        """Two descriptions of one track, in the order given.

        Args:
            track: a string is an id of the library, a `Path` an uploaded file.

        Raises:
            SpaceError: there is no such track, the file cannot be used, or a text is empty or too long.
        """
        texts = checked_text(first, "the first description"), checked_text(second, "the second description")
        heard = self._heard(track, progress)
        return Comparison(heard.track, *(self._match(heard, text) for text in texts))

    def swapped(self, text: str) -> str:
        """A description with its sections in another order, the last one first; see `swap_sections`.

        Raises:
            SpaceError: the text is empty or too long, or has fewer than two sections.
        """
        return swap_sections(checked_text(text))

    def _embed(self, text: str) -> CollapTextFeatures:
        with self._reading:
            return self._index.embed(text)

    def _heard(self, track: str | Path, progress: Progress | None) -> HeardTrack:
        if isinstance(track, Path):
            return self._listener.hear(track, progress)
        return HeardTrack(self.track(track), self._index.store.fetch([track])[0].sequence)

    def _match(self, heard: HeardTrack, text: str) -> TextResult:
        embedded = self._embed(text)
        return TextResult(text, None, self._scores(heard, embedded)[0], self._locate(heard, embedded))

    def _descriptions(self, heard: HeardTrack, top: int) -> tuple[TextResult, ...]:
        if self._captions is None:
            return ()
        scores = self._scores(heard, self._captions)
        best = sorted(range(len(scores)), key=lambda i: (-scores[i], self._captioned[i].id))[:top]
        return tuple(
            TextResult(
                self._captioned[i].caption,
                self._captioned[i].id,
                scores[i],
                self._locate(heard, self._captions.select(slice(i, i + 1))),
            )
            for i in best
        )

    def _tags(self, heard: HeardTrack, labels: Sequence[str]) -> tuple[TagResult, ...]:
        if not labels:
            return ()
        sentences = [fill_prompt(prompt, label) for label in labels for prompt in TAG_PROMPTS]
        embedded = CollapTextFeatures.cat([self._embed(sentence) for sentence in sentences])
        scores = torch.tensor(self._scores(heard, embedded)).unflatten(0, (len(labels), -1)).mean(1)  # (labels,)
        shares = (scores * self._model.logit_factor.detach().cpu()).softmax(0)
        tags = map(TagResult, labels, shares.tolist(), scores.tolist())
        return tuple(sorted(tags, key=lambda tag: -tag.score))

    def _scores(self, heard: HeardTrack, texts: CollapTextFeatures) -> list[float]:
        """One a text."""
        return alignment_with_texts(self._model, self._index.codec, [heard.sequence], texts)[0].tolist()

    def _locate(self, heard: HeardTrack, text: CollapTextFeatures) -> Location:
        codec = self._index.codec
        steps = codec.decode([heard.sequence])[0][0]  # (S, D)
        duration = heard.track.duration
        return locate_text(self._model, steps, text, duration=duration, max_spans=_SPANS, pool=codec.pool)
