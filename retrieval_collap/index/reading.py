"""One file, read from disk to the features of the model's encoders: what a worker process does."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from processing_collap import CollapFeatureExtractor, load_audio

from .metadata import Metadata, read_metadata


@dataclass(frozen=True, slots=True, eq=False)
class ReadFile:
    """A file and what was heard in it.

    Attributes:
        size, modified: of the file in bytes and seconds since 1970, from before it was read.
        content_hash: SHA-256 of its bytes.
        metadata: what it says of itself.
        duration: of what was decoded, in seconds; 0 where nothing had to be.
        inputs: the features by their names, as the feature extractor returns them; None where the content is known.
    """

    size: int
    modified: float
    content_hash: str
    metadata: Metadata
    duration: float = 0.0
    inputs: dict[str, np.ndarray] | None = None


@dataclass(frozen=True, slots=True)
class FileReader:
    """Reads files; pickled once for each worker process.

    Attributes:
        extractor: the feature extraction of the model that encodes.
        known: content hashes of which an encoding is at hand, so that nothing is decoded.
    """

    extractor: CollapFeatureExtractor
    known: frozenset[str] = frozenset()

    def __call__(self, path: Path) -> ReadFile:
        """
        Raises:
            ValueError: the file does not decode, or is too short or too long.
            OSError: it cannot be read.
        """
        stat = path.stat()
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        if digest in self.known:
            return ReadFile(stat.st_size, stat.st_mtime, digest, read_metadata(path))
        rate, limit = self.extractor.sampling_rate, self.extractor.max_seconds
        samples = load_audio(path, rate, end_seconds=limit + 1)  # (samples,); a second more shows that it is too long
        if len(samples) > limit * rate:
            raise ValueError(f"it is longer than the {limit:g} s that the model reads (max_seconds)")
        if len(samples) < self.extractor.min_samples:
            raise ValueError(f"it lasts {len(samples) / rate:.3f} s, too short for the model")
        inputs = self.extractor(samples, sampling_rate=rate, return_tensors="np")
        # As numpy, which is copied to the other process; tensors would be left in shared memory, which may be small.
        return ReadFile(stat.st_size, stat.st_mtime, digest, read_metadata(path), len(samples) / rate, {**inputs.data})
