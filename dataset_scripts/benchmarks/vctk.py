"""VCTK 0.92: sentences read by 110 speakers of English, and their texts (Yamagishi et al., DataShare, 2019)."""

from pathlib import Path

from datasets import Dataset

from ..schema import dataset_from_rows
from .owners import Owner
from .recordings import all_recordings
from .rows import benchmark_row

MICROPHONES = ("mic1", "mic2")
_OWNER = Owner("VCTK", "https://datashare.ed.ac.uk/handle/10283/3443 (VCTK-Corpus-0.92.zip)")
_TEXTS, _AUDIO = "txt", "wav48_silence_trimmed"


def load_vctk(folder: str | Path, microphone: str = "mic1") -> Dataset:
    """The utterances as rows in the dataset schema: the caption is what is said, the song what the utterance is called.

    Utterances of which the corpus has no text (speaker p315) or no recording of the microphone (speaker p280 with
    mic2, some of p362) are no rows. All speakers read some of the sentences: these are equal texts with many right
    recordings.

    Args:
        folder: holds `txt/p225/p225_001.txt` and `wav48_silence_trimmed/p225/p225_001_mic1.flac`.
        microphone: "mic1", or "mic2", which lacks one speaker more.

    Raises:
        FileNotFoundError: the folders of the corpus are absent, or no utterance is there with text and recording.
        ValueError: there is no such microphone, or a text is empty.
    """
    folder = Path(folder)
    if microphone not in MICROPHONES:
        raise ValueError(f"VCTK has no microphone {microphone!r}; it has {' and '.join(MICROPHONES)}.")
    # The archive unpacks with or without a folder of its own.
    root = next((inner for inner in (folder, folder / "VCTK-Corpus-0.92") if (inner / _TEXTS).is_dir()), folder)
    texts, audio = _OWNER.find(root, _TEXTS), _OWNER.find(root, _AUDIO)
    files = {
        text.stem: (text, recording)
        for text in sorted(texts.glob("*/*.txt"))
        if (recording := audio / text.parent.name / f"{text.stem}_{microphone}.flac").is_file()
    }
    if not files:
        raise _OWNER.missing(f"{root} holds no recording that has a text, as {_AUDIO}/p225/p225_001_{microphone}.flac")
    recordings = all_recordings(_OWNER, {name: recording for name, (_, recording) in files.items()})
    rows = []
    for name, (text, _) in files.items():
        words = " ".join(text.read_text(encoding="utf-8").split())
        if not words:
            raise ValueError(f"{text} is empty.")
        rows.append(
            benchmark_row(
                recordings[name],
                id=f"{name}_{microphone}",
                song_id=name,
                caption=words,
                source="vctk",
                caption_source="transcript",
                licence="CC-BY-4.0",
                provenance=f"VCTK-Corpus-0.92, {_TEXTS}/{text.parent.name}/{text.name}",
            )
        )
    return dataset_from_rows(rows)
