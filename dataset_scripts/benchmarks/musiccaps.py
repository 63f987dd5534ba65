"""MusicCaps: 5,521 clips of 10 s from AudioSet, captioned by musicians (Agostinelli et al., arXiv 2301.11325)."""

from pathlib import Path

from datasets import Dataset

from ..schema import dataset_from_rows
from .owners import Owner
from .recordings import AudioFiles, available_recordings, clip_names
from .rows import Row, benchmark_row
from .written_captions import recaptioned

_OWNER = Owner("MusicCaps", "https://www.kaggle.com/datasets/googleai/musiccaps")
_CSV = "musiccaps-public.csv"
_COLUMNS = ("ytid", "start_s", "end_s", "caption")
# How much longer than its clip a file may be and still be the clip: tools cut at frames of video.
_CLIP_TOLERANCE = 1.0  # seconds


def load_musiccaps(folder: str | Path, captions: str | Path | None = None) -> Dataset:
    """The captions whose clip is there, as rows in the dataset schema, in the order of the official table.

    The owners publish no audio, and videos vanish: what is not there is left out with a warning that says how many.

    Args:
        folder: holds `musiccaps-public.csv` and, at any depth, audio under one of the names of `clip_names`, such as
            `-0Gj8-vB1q4.wav` or `[-0Gj8-vB1q4]-[30-40].wav`. A file that lasts longer than the clip is taken for the
            whole
            video: it is heard in full, and `structure` says where in it the clip is.
        captions: a file that the caption stage wrote for these recordings, see `recaptioned`; its captions by `ytid`
            take the place of the official ones.

    Raises:
        FileNotFoundError: the table, or all audio, is absent.
        ValueError: the table is not that of MusicCaps.
    """
    folder = Path(folder)
    path = _OWNER.find(folder, _CSV)
    table = _OWNER.table(path, _COLUMNS)
    spans = list(zip(_OWNER.numbers(path, table, "start_s"), _OWNER.numbers(path, table, "end_s"), strict=True))
    files = AudioFiles(folder)
    found = {line["ytid"]: files.find(clip_names(line["ytid"], *span)) for line, span in zip(table, spans, strict=True)}
    recordings = available_recordings(_OWNER, found, f"{folder / 'audio' / table[0]['ytid']}.wav")
    rows: list[Row] = []
    for line, (start, end) in zip(table, spans, strict=True):
        if (recording := recordings.get(line["ytid"])) is None:
            continue
        whole = recording.duration > max(start, end - start + _CLIP_TOLERANCE)
        clip = {"start": start, "end": min(end, recording.duration), "label": "", "caption": line["caption"]}
        rows.append(
            benchmark_row(
                recording,
                id=line["ytid"],
                song_id=line["ytid"],
                youtube_id=line["ytid"],
                caption=line["caption"],
                structure=[clip] if whole else [],
                source="musiccaps",
                caption_source="human",
                licence="text CC-BY-SA-4.0, audio as its uploader says",
                provenance=f"{_OWNER.page.removeprefix('https://')}, {_CSV}, {line['ytid']} {start:g}-{end:g} s",
            )
        )
    return dataset_from_rows(rows if captions is None else recaptioned(rows, Path(captions), _OWNER.title))
