"""Which checkpoint of a run is whole.

A run may be killed at any moment, so also while it saves; and the Trainer writes a checkpoint file by file, from
several processes, and deletes older ones before all of them are done. Here every checkpoint gets a seal as its last
file, once all processes have written theirs: the sizes of all others. Runs go on from sealed checkpoints only, and
older ones are deleted only after a new one has its seal.
"""

import json
import logging
import os
import re
import shutil
from pathlib import Path
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR, rotate_checkpoints

from dataset_scripts.whole_files import whole_file

logger = logging.getLogger(__name__)

_SEAL = "seal.json"
_ASIDE = "unfinished-"


class SealedCheckpoints(TrainerCallback):
    """Seals every checkpoint of a run and then, in the Trainer's place, deletes those beyond `save_total_limit`."""

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        self.limit, args.save_total_limit = args.save_total_limit, None

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        args.distributed_state.wait_for_everyone()
        if args.should_save:
            output = Path(args.output_dir or "")
            seal_checkpoint(output / f"{PREFIX_CHECKPOINT_DIR}-{state.global_step}")
            rotate_checkpoints(str(output), self.limit, state.best_model_checkpoint, use_mtime=True)

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        args.save_total_limit = self.limit


def seal_checkpoint(folder: str | os.PathLike[str]) -> None:
    """Declares a checkpoint whole as it is now."""
    folder = Path(folder)
    sizes = _sizes(folder)
    with whole_file(folder / _SEAL) as temporary:
        temporary.write_text(json.dumps(sizes, indent=2))


def is_whole(folder: str | os.PathLike[str]) -> bool:
    """Whether the checkpoint has its seal, and all files are as long as the seal says."""
    seal = Path(folder) / _SEAL
    if not seal.is_file():
        return False
    sizes = _sizes(Path(folder))
    return all(sizes.get(name) == size for name, size in json.loads(seal.read_text()).items())


def last_whole_checkpoint(output_dir: str | os.PathLike[str]) -> Path | None:
    """The newest checkpoint of a run that is whole, if there is one."""
    return next((folder for folder in _newest_first(output_dir) if is_whole(folder)), None)


def set_aside_unfinished(output_dir: str | os.PathLike[str]) -> None:
    """Renames the checkpoints that are not whole, so that nothing takes them for one, and says so in the log."""
    for folder in _newest_first(output_dir):
        if not is_whole(folder):
            aside = folder.with_name(_ASIDE + folder.name)
            shutil.rmtree(aside, ignore_errors=True)
            folder.rename(aside)
            logger.warning("%s is not whole, probably the run was killed while saving it; it is now %s", folder, aside)


def _newest_first(output_dir: str | os.PathLike[str]) -> list[Path]:
    steps = {
        folder: int(match[1])
        for folder in Path(output_dir).glob(f"{PREFIX_CHECKPOINT_DIR}-*")
        if folder.is_dir() and (match := re.fullmatch(rf"{PREFIX_CHECKPOINT_DIR}-(\d+)", folder.name))
    }
    return sorted(steps, key=steps.__getitem__, reverse=True)


def _sizes(folder: Path) -> dict[str, int]:
    """Size in bytes of every file of a checkpoint but its seal, by path."""
    return {
        path.relative_to(folder).as_posix(): path.stat().st_size
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.name.startswith(_SEAL)
    }
