"""Trains a CoLLAP: `accelerate launch train.py recipes/collap-mini.yaml [section.name=value ...]`."""

import argparse
import logging
import sys

import evaluation_collap.muscall  # noqa: F401  # recipes may name it
from training_collap import load_recipe
from training_collap.run import prepare, train


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("recipe", help="a YAML file of recipes/")
    parser.add_argument("overrides", nargs="*", help="section.name=value, as in training.max_steps=10")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO)
    # Until training starts, a wrong value is one of the user's: a sentence says it, a traceback would bury it.
    try:
        recipe = load_recipe(options.recipe, options.overrides)
        trainer = prepare(recipe)
    except (ValueError, OSError) as error:
        return _refuse(error)
    try:
        train(trainer, recipe)
    except FloatingPointError as error:
        return _refuse(error)
    return 0


def _refuse(error: Exception) -> int:
    print(f"train.py: {' '.join(str(error).split())}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
