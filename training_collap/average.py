"""`python -m training_collap.average CHECKPOINT... --output DIR`: the mean of a run's last checkpoints as one model.

Stochastic weight averaging (arXiv 1803.05407): the mean of weights along the end of a run generalises better than where
the run happened to stop.
"""

from pathlib import Path
from typing import Annotated

import torch
import typer

from modeling_collap import CollapModel
from processing_collap import CollapProcessor


@torch.no_grad()
def average(
    checkpoints: Annotated[list[Path], typer.Argument(help="Checkpoint folders of one run, the last one last.")],
    output: Annotated[Path, typer.Option(help="Folder of the averaged model and its processor.")],
) -> None:
    """Writes the averaged model with the last checkpoint's configuration and processor."""
    if missing := [str(folder) for folder in checkpoints if not (folder / "config.json").is_file()]:
        raise typer.BadParameter(f"no checkpoint in {', '.join(missing)}")
    models = [CollapModel.from_pretrained(folder) for folder in checkpoints]
    states, last = [model.state_dict() for model in models], models[-1]
    last.load_state_dict({name: torch.stack([state[name] for state in states]).mean(0) for name in states[-1]})
    last.save_pretrained(output)
    CollapProcessor.from_pretrained(checkpoints[-1]).save_pretrained(output)
    typer.echo(f"the mean of {len(checkpoints)} checkpoints is in {output}")


if __name__ == "__main__":
    typer.run(average)
