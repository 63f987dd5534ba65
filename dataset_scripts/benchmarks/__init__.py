"""Benchmarks in their owners' layouts, as rows in the dataset schema; those for tagging have a column `labels` too."""

from .audioset_eval import load_audioset_eval
from .captioning import caption_benchmark
from .gtzan import load_gtzan
from .harmonixset import load_harmonixset
from .magnatagatune import load_magnatagatune
from .musiccaps import load_musiccaps
from .songdescriber import load_songdescriber
from .vctk import load_vctk
from .wiki import load_wiki_mc, load_wiki_sd

__all__ = [
    "caption_benchmark",
    "load_audioset_eval",
    "load_gtzan",
    "load_harmonixset",
    "load_magnatagatune",
    "load_musiccaps",
    "load_songdescriber",
    "load_vctk",
    "load_wiki_mc",
    "load_wiki_sd",
]
