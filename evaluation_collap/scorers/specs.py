"""How a command line names the model to evaluate."""

from importlib import import_module
from pathlib import Path
from typing import Any

import torch

from dataset_scripts.fields import suggestion

from .base import Scorer

# What stands before the colon, and where the scorer is that `from_pretrained` makes. Loaded on use.
KINDS = {
    "collap": ("collap", "CollapScorer"),
    "mean": ("collap", "MeanPoolingScorer"),
    "clap": ("clap", "ClapScorer"),
    "muscall": ("muscall", "MuscallScorer"),
}
_KIND_IN_NAME = {"mean": "{}, mean pooling", "collap": "{}"}


def build_scorer(spec: str, device: str | None = None) -> Scorer:
    """The scorer that `spec` names, as "kind:folder or Hub name"; a folder or Hub name alone is a CoLLAP.

    "checkpoints/collap-mini", "mean:checkpoints/collap-mini", "clap:laion/clap-htsat-unfused", "muscall:FOLDER".

    Args:
        device: where encodings are made; by default an accelerator where there is one.

    Raises:
        ValueError: the kind is unknown, there is no such model, or it cannot be loaded.
    """
    kind, colon, source = spec.partition(":")
    if not colon or Path(spec).is_dir():
        kind, source = "collap", spec
    if kind not in KINDS:
        raise ValueError(f"the model {spec} is of the unknown kind {kind!r}{suggestion(kind, KINDS)}")
    if not source.strip():
        raise ValueError(f"the model {spec!r} names no folder or Hub name")
    module, name = KINDS[kind]
    scorer: Any = getattr(import_module(f".{module}", __package__), name)
    # Of its own, a scorer knows no more than what kind it is.
    named = {"name": _KIND_IN_NAME[kind].format(Path(source).resolve().name)} if kind in _KIND_IN_NAME else {}
    try:
        return scorer.from_pretrained(source, device=device or default_device(), **named)
    except (OSError, ValueError) as error:
        raise ValueError(f"--model {spec}: {error}") from error


def default_device() -> str:
    """An accelerator where there is one, or the CPU."""
    accelerator = torch.accelerator.current_accelerator(check_available=True)
    return "cpu" if accelerator is None else accelerator.type
