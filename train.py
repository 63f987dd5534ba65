"""Trains a CoLLAP: `accelerate launch train.py recipes/collap-mini.yaml [section.name=value ...]`."""

import argparse
import logging

from training_collap import load_recipe, run

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("recipe", help="a YAML file of recipes/")
    parser.add_argument("overrides", nargs="*", help="section.name=value, as in training.max_steps=10")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO)
    run(load_recipe(options.recipe, options.overrides))
