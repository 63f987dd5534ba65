"""The Space, assembled: the app, the rooms it imports, its library of tracks, and the name of its model."""

import json
from pathlib import Path

from huggingface_hub import SpaceCard

from evaluation_collap.scorers.collap import load_collap
from retrieval_collap.index.store import TrackStore

from .errors import ReleaseError
from .licences import is_open
from .repositories import ROOT, with_owner
from .staging import place, place_folder, staging_folder

ROOMS = (
    "modeling_collap",
    "processing_collap",
    "dataset_scripts",
    "training_collap",
    "evaluation_collap",
    "retrieval_collap",
    "metrics",
)
MODEL_FILE, LIBRARY = "space.json", "library"
_NEEDED = ("app.py", "README.md", "requirements.txt")
_CODE = ("*.py", "templates/*")


def assemble_space(name: str, source: Path, output: Path, *, org: str, model: str, library: Path | None = None) -> Path:
    """The folder `output/name` with exactly what is pushed; it runs as it is.

    Args:
        source: the app's folder in this repository.
        model: name of the model repository of `org` that the app loads.
        library: folder of tracks that can be searched; without one the Space makes its own when it starts.

    Raises:
        ReleaseError: the app or its library is not whole, or a track may not be passed on.
    """
    check_space(name, source, library)
    with staging_folder(output / name) as folder:
        place_folder(source, folder)
        for room in ROOMS:
            _place_room(room, folder)
        if library is not None:
            place_folder(library, folder / LIBRARY)
        card = SpaceCard(with_owner((folder / "README.md").read_text(encoding="utf-8"), org))
        card.data["models"] = [f"{org}/{model}"]
        (folder / "README.md").write_text(str(card), encoding="utf-8")
        named = json.dumps({"model": f"{org}/{model}"}, indent=2)
        (folder / MODEL_FILE).write_text(named + "\n", encoding="utf-8")
        place(ROOT / "LICENSE", folder / "LICENSE")
    return output / name


def check_space(name: str, source: Path, library: Path | None) -> None:
    """
    Raises:
        ReleaseError: a file of the app or of the library is missing, or a track of it may not be passed on.
    """
    if missing := [file for file in _NEEDED if not (source / file).is_file()]:
        raise ReleaseError(f"{name}: {source} holds no {missing[0]}")
    if library is None:
        return
    listing = library / "tracks.jsonl"
    if not listing.is_file():
        raise ReleaseError(f"{name}: {library} holds no tracks.jsonl: make a library with space_collap.build_library")
    for number, line in enumerate(listing.read_text(encoding="utf-8").splitlines(), start=1):
        try:
            track = json.loads(line)
            file, licence = track["file"], track["licence"]
        except (ValueError, KeyError, TypeError) as error:
            raise ReleaseError(f"{name}: line {number} of {listing} is no track: {error!r}") from error
        if not (library / file).is_file():
            raise ReleaseError(f"{name}: line {number} of {listing} names the file {file}, which is not there")
        if not is_open(licence):
            raise ReleaseError(
                f"{name}: the licence of {file} in {library} is {licence!r}; only recordings under CC0, CC BY, "
                "CC BY-SA or MIT, or in the public domain, are published"
            )


def check_index(name: str, library: Path, weights: Path) -> None:
    """
    Raises:
        ReleaseError: the library has no index, or one of another model than that in `weights`: the Space would not
            start.
    """
    try:
        TrackStore.open(library / "index").settings.check(*load_collap(str(weights)))
    except (ValueError, OSError) as error:
        raise ReleaseError(f"{name}: the library {library} does not fit its model {weights}: {error}") from error


def _place_room(room: str, folder: Path) -> None:
    for pattern in _CODE:
        for file in sorted((ROOT / room).rglob(pattern)):
            if file.is_file() and "__pycache__" not in file.parts:
                place(file, folder / file.relative_to(ROOT))
