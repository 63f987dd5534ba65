"""The data set's card: what is in it, computed from its rows, beside the figures of the paper's corpus."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow.parquet as pq


@dataclass
class CardFacts:
    """Counts over all rows."""

    pairs: int = 0
    seconds: float = 0.0
    words: int = 0
    sections: int = 0
    models: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Rows by source and model of their captions."""
    flags: Counter[str] = field(default_factory=Counter)

    @classmethod
    def of(cls, files: Sequence[Path]) -> "CardFacts":
        """Read from the files of rows, one after another."""
        facts = cls()
        columns = ["duration", "caption", "caption_source", "caption_model", "flags", "structure"]
        for path in files:
            for row in pq.read_table(path, columns=columns).to_pylist():
                facts.pairs += 1
                facts.seconds += row["duration"]
                facts.words += len(row["caption"].split())
                facts.sections += len(row["structure"])
                facts.models[row["caption_source"], row["caption_model"]] += 1
                facts.flags.update(row["flags"] or ())
        return facts

    def table(self) -> str:
        """Table I of the paper, with a row for this corpus."""
        count = max(self.pairs, 1)
        return f"""| | pairs | hours | mean duration (s) | mean words |
| --- | --- | --- | --- | --- |
| this data set | {self.pairs:,} | {self.seconds / 3600:,.2f} | {self.seconds / count:.2f} | {self.words / count:.2f} |
| arXiv 2410.02271, Table I | 51.3K | 4,109.50 | 288.25 | 256.94 |"""


def dataset_card(
    facts: CardFacts, *, title: str, configs: Sequence[str], splits: Sequence[str], licence: str | None
) -> str:
    """README.md with the YAML by which `load_dataset` finds configurations and splits; the first one is the default."""
    count = max(facts.pairs, 1)
    models = "\n".join(
        f"| {source} | {model} | {rows:,} |" for (source, model), rows in sorted(facts.models.items(), key=str)
    )
    flags = "\n".join(f"| {flag} | {rows:,} | {rows / count:.1%} |" for flag, rows in sorted(facts.flags.items()))
    amiss = f"\n| flag | rows | share |\n| --- | --- | --- |\n{flags}\n" if flags else "No row has one.\n"
    audio = (
        "\n`audio` has the recordings too, mono at 16 kHz as FLAC. They are their owners' and stay where they were "
        "fetched:\nthis configuration is for use on the spot and is not to be uploaded.\n"
        if "audio" in configs
        else ""
    )
    return f"""---
{_yaml(title, configs, splits, licence)}---

# {title}

Full-length music from AudioSet with long descriptions: of the whole track, and of its sections with their times. Made
by `collap dataset build` of the CoLLAP repository.

{facts.table()}

There are {facts.sections / count:.1f} sections a track on average.

```python
from datasets import load_dataset

captions = load_dataset("{title}", "captions")
```

`captions` has everything but the audio: `youtube_id` names the video.
{audio}
## How it was made

Videos of AudioSet's tables whose labels lie at or below "Music"; the whole audio, where it can still be had; kept where
it has the right length, decodes to its end, is neither silent nor clipped, and no other encoding of it is kept.
`ledger.parquet` in the work folder of the build says of every video that fell out at which stage and why.

Captions by:

| source | model | rows |
| --- | --- | --- |
{models}

`caption` is the whole text as it was written, `global_caption` and `structure` (seconds) what was parsed from it, and
`flags` what was amiss or guessed; `dataset_scripts/descriptions.py` explains the flags.
{amiss}
## Limits

The descriptions were written by models, and nobody has checked them: labels of sections are often wrong, times are
coarse. Splits are by a hash of the id. Durations count the whole file, with introductions and applause.
"""


def _yaml(title: str, configs: Sequence[str], splits: Sequence[str], licence: str | None) -> str:
    lines = ["configs:"]
    for number, config in enumerate(configs):
        lines += [f"- config_name: {config}", *(["  default: true"] if number == 0 else []), "  data_files:"]
        for split in splits:
            lines += [f"  - split: {split}", f"    path: {config}/{split}-*.parquet"]
    lines += [f"license: {licence}"] if licence else []
    lines += [f"pretty_name: {title}", "language:", "- en", "tags:", "- music", "- audio", "- audio-text-retrieval"]
    return "\n".join(lines) + "\n"
