"""The dataset schema: every builder writes it and every loader reads it."""

from datasets import Audio, Features, List, Value

SECTION = {"start": Value("float32"), "end": Value("float32"), "label": Value("string"), "caption": Value("string")}


def dataset_features(*, sampling_rate: int | None = None, decode: bool = True) -> Features:
    """Columns of a captioned-track dataset.

    `duration` and the `start` and `end` of `structure` are in seconds. `audio` holds the encoded bytes; `sampling_rate`
    resamples on decoding, `decode=False` hands the bytes over as they are.
    """
    return Features(
        {
            "id": Value("string"),
            "song_id": Value("string"),
            "audio": Audio(sampling_rate=sampling_rate, decode=decode),
            "duration": Value("float32"),
            "caption": Value("string"),
            "global_caption": Value("string"),
            "structure": List(SECTION),
            "source": Value("string"),
            "licence": Value("string"),
            "split": Value("string"),
        }
    )
