"""`python -m training_collap.validate MODEL RECIPE`: a saved model on the validation split that a recipe names."""

import json
from pathlib import Path
from typing import Annotated

import typer

from modeling_collap import CollapModel
from processing_collap import CollapProcessor

from .collator import CollapCollator
from .recipe import load_recipe
from .run import load_splits
from .tracks import CaptionedTracks
from .trainer import CollapTrainer


def validate(
    model: Annotated[Path, typer.Argument(help="Folder of a saved model and its processor.")],
    recipe: Annotated[Path, typer.Argument(help="Recipe that names the data.")],
    overrides: Annotated[list[str] | None, typer.Argument(help="section.name=value")] = None,
) -> None:
    """Prints retrieval metrics of whole tracks, decoded from their audio, as JSON."""
    settings = load_recipe(recipe, overrides)
    settings.training.report_to = []
    processor = CollapProcessor.from_pretrained(model)
    _, rows = load_splits(settings.data)
    trainer = CollapTrainer(
        model=CollapModel.from_pretrained(model),
        args=settings.training,
        processing_class=processor,
        data_collator=CollapCollator(processor),
        eval_dataset=CaptionedTracks(rows, sampling_rate=processor.feature_extractor.sampling_rate),
    )
    metrics = trainer.evaluate()
    typer.echo(json.dumps({"model": str(model), "tracks": len(rows), **metrics}, indent=2))


if __name__ == "__main__":
    typer.run(validate)
