"""Audio features of a data set, computed once: training then reads windows instead of decoding songs.

Each track's windows are what the feature extractor returns for it. They lie one after another in memory-mapped arrays,
in half precision.
"""

import json
import os
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch
from datasets import Audio, Dataset
from torch import Tensor
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset
from tqdm import tqdm

from dataset_scripts.whole_files import whole_file
from processing_collap import CollapFeatureExtractor

from .provenance import extraction_settings, refuse_another

_INDEX = "index.json"


class FeatureStore:
    """Features of every track of a data set, by position.

    Args:
        folder: written by `FeatureStore.build`.

    Raises:
        FileNotFoundError: if the folder holds no complete store.
    """

    def __init__(self, folder: str | os.PathLike[str]):
        self.folder = Path(folder)
        if not (self.folder / _INDEX).is_file():
            raise FileNotFoundError(f"{folder} holds no complete feature store.")
        self._index = json.loads((self.folder / _INDEX).read_text())
        self._starts = np.concatenate([[0], np.cumsum(self._index["windows"])])
        self._arrays = {
            name: np.memmap(self.folder / name, dtype=np.dtype(dtype), mode="r", shape=(int(self._starts[-1]), *shape))
            for name, (dtype, shape) in self._index["arrays"].items()
        }

    @property
    def ids(self) -> list[str]:
        """Ids of the tracks, in order."""
        return self._index["ids"]

    def __len__(self) -> int:
        return len(self.ids)

    def read(self, track: int, first: int = 0, last: int | None = None) -> dict[str, Tensor]:
        """Windows `first` up to `last` of a track: each array (windows, ...), floats in half precision."""
        windows = range(self._starts[track], self._starts[track + 1])[first:last]
        return {
            name: torch.from_numpy(np.array(array[windows.start : windows.stop]))
            for name, array in self._arrays.items()
        }

    @classmethod
    def build(
        cls,
        folder: str | os.PathLike[str],
        dataset: Dataset,
        feature_extractor: CollapFeatureExtractor,
        *,
        workers: int = 0,
    ) -> "FeatureStore":
        """Computes the features of whole tracks, with a progress bar; a complete store of the same tracks is kept.

        Args:
            folder: made where absent; what an interrupted build left there is written anew.
            dataset: rows of the dataset schema.
            workers: processes that decode and extract; 0 does it in this one.

        Raises:
            ValueError: if the folder holds the features of other tracks or of another feature extractor.
        """
        folder = Path(folder)
        made_from = {"ids": list(dataset["id"]), "feature_extractor": extraction_settings(feature_extractor)}
        if (folder / _INDEX).is_file():
            store = cls(folder)
            refuse_another(folder, {name: store._index[name] for name in made_from}, made_from)
            return store
        folder.mkdir(parents=True, exist_ok=True)
        loader = DataLoader(TrackFeatures(dataset, feature_extractor), batch_size=None, num_workers=workers)
        windows: list[int] = []
        arrays: dict[str, tuple[str, tuple[int, ...]]] = {}
        files: dict[str, BinaryIO] = {}
        try:
            for features in tqdm(loader, total=len(dataset), desc="audio features", unit="track"):
                windows.append(len(next(iter(features.values()))))
                for name, values in features.items():
                    array = (values.half() if values.is_floating_point() else values).numpy()
                    if name not in files:
                        files[name] = (folder / name).open("wb")
                        arrays[name] = (array.dtype.str, array.shape[1:])
                    files[name].write(array.tobytes())
        finally:
            for file in files.values():
                file.close()
        # The index is what makes the store complete, so it comes last and at once.
        with whole_file(folder / _INDEX) as temporary:
            temporary.write_text(json.dumps({**made_from, "windows": windows, "arrays": arrays}))
        return cls(folder)


class TrackFeatures(TorchDataset):
    """What the feature extractor returns for one whole track at a time: each array (windows, ...).

    Args:
        dataset: rows of the dataset schema.
        feature_extractor: decodes and extracts.
    """

    def __init__(self, dataset: Dataset, feature_extractor: CollapFeatureExtractor):
        self.audio = dataset.select_columns("audio").cast_column("audio", Audio(decode=False))
        self.feature_extractor = feature_extractor

    def __len__(self) -> int:
        return len(self.audio)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        features: Any = self.feature_extractor(self.audio[index]["audio"])
        return {name: value[0] for name, value in features.items()}
