"""States of the frozen audio encoders, computed once: training then runs only what is trained.

A store is a folder of parquet files. A file holds some consecutive tracks, a row is one window and a row group of its
own, so that a crop is read without touching its neighbours. States are in half precision, just as the encoders leave
them: before the trained norms and the adapter h_A.

With Whisper-base (1500 x 512) and BEATs-base (1496 x 768) a window of 30 s takes 3.83 MB, a minute of audio 7.7 MB, a
thousand songs of four minutes 31 GB. The features that `FeatureStore` keeps take a third of it, 2.5 MB a minute, but
leave the encoders to be run.
"""

import json
import os
from collections.abc import Iterable
from functools import lru_cache
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from datasets import Dataset
from torch import Tensor
from torch.utils.data import DataLoader, Subset
from tqdm import tqdm

from dataset_scripts.whole_files import whole_file
from modeling_collap import CollapModel
from processing_collap import CollapFeatureExtractor

from .feature_store import TrackFeatures
from .provenance import extraction_settings, refuse_another, weights_digest

_INDEX = "index.json"
_MADE_FROM = b"made_from"  # in the metadata of a parquet file
# Branch of the audio encoder: the features that it hears, and the model's name for its states.
_BRANCHES = {"whisper": ("input_features", "whisper_states"), "beats": ("fbank", "beats_states")}
# Files that a process keeps open; a whole data set may have more than the system allows.
_OPEN_FILES = 64
# Rounding to half precision makes a relative error of 3e-4; another device or library adds some of its own.
_TOLERANCE = 3e-3


class EncoderStore:
    """States of every track of a data set, by position.

    Args:
        folder: written by `EncoderStore.build`, which also sees to it that store and model belong together.

    Raises:
        FileNotFoundError: if the folder holds no complete store.
    """

    def __init__(self, folder: str | os.PathLike[str]):
        self.folder = Path(folder)
        if not (self.folder / _INDEX).is_file():
            raise FileNotFoundError(f"{folder} holds no complete encoder store.")
        self._index = json.loads((self.folder / _INDEX).read_text())
        self._starts = np.concatenate([[0], np.cumsum(self._index["windows"])])  # first window of every track
        self._frames = {name: torch.tensor(frames) for name, frames in self._index["frames"].items()}
        self._files = _files(self.folder, self._index["made_from"])
        self._open = lru_cache(_OPEN_FILES)(lambda path: pq.ParquetFile(path, memory_map=True))

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.folder,)  # a worker that is no fork opens the files for itself

    @property
    def ids(self) -> list[str]:
        """Ids of the tracks, in order."""
        return self._index["made_from"]["ids"]

    def __len__(self) -> int:
        return len(self.ids)

    def read(self, track: int, first: int = 0, last: int | None = None) -> dict[str, Tensor]:
        """Windows `first` up to `last` of a track, as `CollapModel` takes them.

        Returns:
            `whisper_states` (windows, P, d_Whisper) and `beats_states` (windows, Q, d_BEATs) in half precision, and
            the windows' valid frames `input_features_lengths` and `fbank_lengths` (windows,).
        """
        windows = range(self._starts[track], self._starts[track + 1])[first:last]
        path, tracks = self._files[track // self._index["made_from"]["tracks_per_file"]]
        groups = [window - self._starts[tracks.start] for window in windows]
        shapes = self._index["shapes"]
        table = self._open(path).read_row_groups(groups, columns=list(shapes), use_threads=False)
        inputs = {name: frames[windows.start : windows.stop] for name, frames in self._frames.items()}
        for name, shape in shapes.items():
            states = np.stack([np.frombuffer(row.as_buffer(), np.float16).reshape(shape) for row in table[name]])
            inputs[name] = torch.from_numpy(states)
        return inputs

    def verify(self, model: CollapModel, rows: Dataset, count: int = 2) -> None:
        """Runs the encoders on some tracks, spread over the data set, and compares.

        Args:
            model: whose encoders made the store.
            rows: the data set, in the same order.
            count: tracks to compare, the first one and the last one among them.

        Raises:
            ValueError: if a window's states differ by more than half precision explains; it names track and window.
        """
        extractor: Any = CollapFeatureExtractor.from_dict(dict(self._index["made_from"]["feature_extractor"]))
        features = TrackFeatures(rows, extractor)
        for track in sorted({round(position) for position in np.linspace(0, len(self) - 1, count)}):
            live, stored = _encode(model, features[track], model.config.windows_per_chunk), self.read(track)
            for name, expected in live.items():
                if len(stored[name]) != len(expected):
                    problem = f"{len(stored[name])} windows instead of {len(expected)}"
                else:
                    error, window = _relative_errors(stored[name], expected).max(0)
                    if error <= _TOLERANCE:
                        continue
                    problem = f"{name} that are off by {error:.1%} in window {window}"
                raise ValueError(
                    f"the encoder store {self.folder} has {problem} for track {self.ids[track]!r}: its audio is no "
                    "longer the same, or the store is damaged; remove it to compute the states anew."
                )

    @classmethod
    def build(
        cls,
        folder: str | os.PathLike[str],
        rows: Dataset,
        model: CollapModel,
        feature_extractor: CollapFeatureExtractor,
        *,
        workers: int = 0,
        windows_per_batch: int = 8,
        tracks_per_file: int = 32,
        verify: int = 2,
    ) -> "EncoderStore":
        """Computes the states of whole tracks, with a progress bar, and opens the store.

        A complete store of the same is opened as it is. Of an interrupted one every whole file is kept.

        Args:
            folder: made where absent.
            rows: rows of the dataset schema.
            model: its audio encoders are frozen; they run where the model is.
            feature_extractor: what the encoders will hear.
            workers: processes that decode and extract features; 0 does it in this one.
            windows_per_batch: windows that an encoder sees at once.
            tracks_per_file: what an interruption costs at most.
            verify: tracks that are computed again and compared when the store is opened, see `verify`; 0 trusts it.

        Raises:
            ValueError: if an audio encoder is trained; if the folder was made from other tracks, weights or settings,
                with all that differs; or if what it holds is not what the encoders say.
        """
        folder = Path(folder)
        made_from = {**_made_from(rows, model, feature_extractor), "tracks_per_file": tracks_per_file}
        if not (folder / _INDEX).is_file():
            folder.mkdir(parents=True, exist_ok=True)
            missing = []
            for path, tracks in _files(folder, made_from):
                if path.is_file():
                    refuse_another(folder, _read_made_from(path), _part(made_from, tracks))
                else:
                    missing.append((path, tracks))
            features = Subset(TrackFeatures(rows, feature_extractor), list(chain(*(tracks for _, tracks in missing))))
            loader = DataLoader(features, batch_size=None, num_workers=workers)
            done = len(rows) - len(features)
            with tqdm(total=len(rows), initial=done, desc="encoder states", unit="track") as progress:

                def encode(features: dict[str, Tensor]) -> dict[str, Tensor]:
                    inputs = _encode(model, features, windows_per_batch)
                    progress.update()
                    return inputs

                encoded = map(encode, loader)
                for path, tracks in missing:
                    _write_file(path, _part(made_from, tracks), islice(encoded, len(tracks)))
            _write_index(folder, made_from)
        store = cls(folder)
        refuse_another(folder, store._index["made_from"], made_from)
        store.verify(model, rows, verify)
        return store


def _made_from(rows: Dataset, model: CollapModel, feature_extractor: CollapFeatureExtractor) -> dict[str, Any]:
    """All that the states depend on, as JSON has it."""
    made_from: dict[str, Any] = {
        "feature_extractor": extraction_settings(feature_extractor),
        "encoders": {},
        "weights": {},
        "dtype": "float16",
        "ids": list(rows["id"]),
    }
    for branch in _BRANCHES:
        encoder = getattr(model.audio_encoder, branch)
        if encoder is None:
            continue
        if any(parameter.requires_grad for parameter in encoder.parameters()):
            raise ValueError(
                f"the {branch} encoder is trained, so its states cannot be computed once: freeze it, or use no "
                "encoder store."
            )
        settings = json.loads(encoder.config.to_json_string(use_diff=False))
        # What only training sees, and notes on who saved it, may change.
        made_from["encoders"][branch] = {
            name: value
            for name, value in settings.items()
            if "drop" not in name and name not in ("_name_or_path", "architectures", "dtype", "transformers_version")
        }
        made_from["weights"][branch] = weights_digest(encoder)
    return made_from


@torch.no_grad()
def _encode(model: CollapModel, features: dict[str, Tensor], windows_per_batch: int) -> dict[str, Tensor]:
    """What `EncoderStore.read` returns for a whole track, from its features."""
    inputs = {}
    for branch, (windows, states) in _BRANCHES.items():
        encoder = getattr(model.audio_encoder, branch)
        if encoder is None:
            continue
        encode = getattr(model.audio_encoder, f"encode_{branch}")
        training = encoder.training
        encoder.eval()
        frames = features[f"{windows}_lengths"]
        batches = zip(features[windows].split(windows_per_batch), frames.split(windows_per_batch), strict=True)
        encoded = [encode(*(part.to(model.device) for part in batch)).half().cpu() for batch in batches]
        inputs[states] = torch.cat(encoded)  # (windows, steps, d)
        inputs[f"{windows}_lengths"] = frames
        encoder.train(training)
    return inputs


def _relative_errors(found: Tensor, expected: Tensor) -> Tensor:
    """Of every window, (windows,): norm of the difference over norm of what is expected; infinite if not a number."""
    found, expected = found.float().view(len(found), -1), expected.float().view(len(expected), -1)
    return ((found - expected).norm(dim=1) / expected.norm(dim=1).clamp(min=1e-6)).nan_to_num(nan=torch.inf)


def _files(folder: Path, made_from: dict[str, Any]) -> list[tuple[Path, range]]:
    """Every file of a store and the positions of the tracks in it."""
    tracks, size = range(len(made_from["ids"])), made_from["tracks_per_file"]
    parts = [tracks[start : start + size] for start in tracks[::size]]
    return [(folder / f"states-{number:05d}.parquet", part) for number, part in enumerate(parts)]


def _part(made_from: dict[str, Any], tracks: range) -> dict[str, Any]:
    return {**made_from, "ids": made_from["ids"][tracks.start : tracks.stop]}


def _write_file(path: Path, made_from: dict[str, Any], tracks: Iterable[dict[str, Tensor]]) -> None:
    """One row and row group a window; what is written appears under its name when it is whole."""
    tables = (_table(name, inputs) for name, inputs in zip(made_from["ids"], tracks, strict=True))
    first = next(tables)
    schema = first.schema.with_metadata({_MADE_FROM: json.dumps(made_from)})
    partial = path.with_name(f"{path.name}.partial")
    with pq.ParquetWriter(partial, schema, compression="none", use_dictionary=False, write_statistics=False) as writer:
        for table in chain([first], tables):
            writer.write_table(table, row_group_size=1)
    partial.rename(path)


def _table(track: str, inputs: dict[str, Tensor]) -> pa.Table:
    count = len(next(iter(inputs.values())))
    fields, columns = [pa.field("id", pa.string()), pa.field("window", pa.int64())], [[track] * count, range(count)]
    for name, values in inputs.items():
        if not values.is_floating_point():
            fields.append(pa.field(name, pa.int64()))
            columns.append(values.tolist())
            continue
        if not bool(values.isfinite().all()):
            raise ValueError(f"track {track!r}: {name} leave the range of half precision.")
        shape = values.shape[1:]
        fields.append(pa.field(name, pa.binary(2 * shape.numel()), metadata={"shape": json.dumps(shape)}))
        columns.append([window.numpy().tobytes() for window in values])
    return pa.table(columns, schema=pa.schema(fields))


def _read_made_from(path: Path) -> dict[str, Any]:
    return json.loads(pq.read_schema(path).metadata[_MADE_FROM])


def _write_index(folder: Path, made_from: dict[str, Any]) -> None:
    """Gathers from the files what every reader needs. The index makes the store complete: it comes last and at once."""
    paths = [path for path, _ in _files(folder, made_from)]
    schema = pq.read_schema(paths[0])
    shapes = {
        name: json.loads(schema.field(name).metadata[b"shape"])
        for _, name in _BRANCHES.values()
        if name in schema.names
    }
    names = [name for name in schema.names if name.endswith("_lengths")]
    table = pa.concat_tables(pq.read_table(path, columns=["window", *names]) for path in paths)
    begins = np.flatnonzero(table["window"].to_numpy() == 0)
    index = {
        "made_from": made_from,
        "windows": np.diff(begins, append=len(table)).tolist(),
        "frames": {name: table[name].to_pylist() for name in names},
        "shapes": shapes,
    }
    with whole_file(folder / _INDEX) as temporary:
        temporary.write_text(json.dumps(index))
