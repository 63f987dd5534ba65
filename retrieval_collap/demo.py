"""The demo: songs or the user's own tracks, encoded, searched with written queries, located, checked and reported."""

from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from evaluation_collap.scorers.collap import load_collap
from modeling_collap import CollapModel
from processing_collap import CollapProcessor
from training_collap.retrieval_metrics import retrieval_metrics

from .audio_files import find_audio, playable_copy
from .library import Match, TrackLibrary
from .queries import QUERIES, Query
from .report import Answer, Hit, Report, SelfCheck, print_report, write_page
from .songs import Song, choose_songs, render_songs

AUDIO_FOLDER = "audio"


class DemoError(Exception):
    """Something that the user can put right; the message says what."""


@dataclass(frozen=True)
class DemoSettings:
    """What the demo is to do; see `collap demo --help`."""

    model: str
    output: Path
    folder: Path | None = None
    queries: tuple[str, ...] = ()
    songs: int = 24
    seed: int = 0
    top: int = 5

    def __post_init__(self) -> None:
        if self.songs < 1 or self.top < 1 or self.seed < 0:
            raise DemoError("--songs and --top must be at least 1, and --seed at least 0")
        if any(not query.strip() for query in self.queries):
            raise DemoError("a query is empty")
        if self.output.exists() and not self.output.is_dir():
            raise DemoError(f"--output {self.output} is a file, not a folder")


def run_demo(settings: DemoSettings, console: Console) -> tuple[Report, Path]:
    """Search, locate, print and write the page; returns the report and the page's path.

    Raises:
        DemoError: the model is not there, or the folder holds no audio that can be read.
    """
    own_files = _own_files(settings)
    model, processor = load_model(settings.model)
    library = TrackLibrary(model, processor)
    queries = tuple(Query(text) for text in settings.queries) or QUERIES
    audio = settings.output / AUDIO_FOLDER
    with _progress(console) as progress:
        songs: dict[str, Song] = {}
        if own_files is None:
            rate = processor.feature_extractor.sampling_rate
            arrangements = choose_songs(settings.songs, QUERIES, settings.seed)
            songs = {song.id: song for song in render_songs(arrangements, audio, rate, progress)}
        files = own_files or {song.id: song.path for song in songs.values()}
        failures = library.add(progress.track(files.items(), description="Encoding tracks"))
        if not len(library):
            first = "; ".join(f"{failure.id}: {failure.reason}" for failure in failures[:3])
            raise DemoError(f"none of the {len(files)} files can be read: {first}")
        results = library.search([query.text for query in queries], settings.top)
        answers = []
        for query, matches in progress.track(zip(queries, results, strict=True), len(queries), description="Locating"):
            hits = (_hit(library, query, match, files, songs, audio) for match in matches)
            fitting = sum(all(query.check(song.arrangement)) for song in songs.values())
            answers.append(Answer(query, tuple(hits), fitting if songs and query.facts else None))
    self_check = _self_check(library, songs) if songs else None
    report = Report(Path(settings.model).name, len(library), tuple(answers), tuple(failures), self_check)
    page = write_page(report, settings.output)
    print_report(report, console)
    return report, page


def load_model(name: str) -> tuple[CollapModel, CollapProcessor]:
    """Model and processor from a folder or the Hub.

    Raises:
        DemoError: there is neither a folder nor a Hub model of this name that can be read.
    """
    try:
        return load_collap(name)
    except ValueError as error:
        raise DemoError(f"{error} (see --model)") from error


def _own_files(settings: DemoSettings) -> dict[str, Path] | None:
    """The user's files by their path in the folder; None where the demo renders songs."""
    if settings.folder is None:
        return None
    try:
        files = find_audio(settings.folder, exclude=settings.output)
    except OSError as error:
        raise DemoError(str(error)) from error
    return {path.relative_to(settings.folder).as_posix(): path for path in files}


def _hit(
    library: TrackLibrary, query: Query, match: Match, files: dict[str, Path], songs: dict[str, Song], audio: Path
) -> Hit:
    track_id = match.track.id
    location = library.locate(track_id, query.text)
    song = songs.get(track_id)
    if song is None:
        return Hit(match, location, playable_copy(files[track_id], audio))
    composition = song.arrangement.composition
    return Hit(
        match,
        location,
        song.path,
        about=f"{song.arrangement.genre}, {composition.tempo_bpm:.0f} BPM",
        sections=composition.sections,
        caption=song.caption,
        checks=query.check(song.arrangement) if query.facts else None,
    )


def _self_check(library: TrackLibrary, songs: dict[str, Song]) -> SelfCheck:
    """Every song's caption against every song, both in the order of their ids."""
    scores = library.scores([songs[track.id].caption for track in library])  # (captions, songs)
    metrics = retrieval_metrics(scores, recall_at=(1, 5))
    return SelfCheck(metrics["R@1"], metrics["R@5"])


def _progress(console: Console) -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    return Progress(*columns, console=console)
