"""Where the app finds its model and its library, in a checkout and as pushed to a Space."""

import json
import os
from pathlib import Path

from .build_library import cached_library
from .limits import SpaceError

_MODEL = "collap-mini"
_SETTINGS = "space.json"


def find_model(home: Path) -> str:
    """Folder or Hub name of the model.

    In this order: the environment variable COLLAP_MODEL, "model" in `space.json`, the folder `collap-mini`, and the
    checkpoint of a checkout.

    Args:
        home: folder of `app.py`.

    Raises:
        SpaceError: there is none of them.
    """
    if named := os.environ.get("COLLAP_MODEL"):
        return named
    if (settings := home / _SETTINGS).is_file():
        return _model_of(settings)
    for folder in (home / _MODEL, home.parent / "checkpoints" / _MODEL):
        if folder.is_dir():
            return str(folder)
    raise SpaceError(f"There is no model beside {home}: set COLLAP_MODEL to a folder or a name on the Hub.")


def find_library(home: Path, model: str) -> Path:
    """The library: by the environment variable COLLAP_LIBRARY, or beside `app.py`; else one is built for this model.

    Raises:
        SpaceError: the one that is named is not there, or none can be built.
    """
    if named := os.environ.get("COLLAP_LIBRARY"):
        return Path(named).expanduser()
    if (folder := home / "library").is_dir():
        return folder
    return cached_library(model)


def _model_of(settings: Path) -> str:
    try:
        model = json.loads(settings.read_text(encoding="utf-8"))["model"]
    except (ValueError, KeyError, TypeError) as error:
        raise SpaceError(f'{settings} must be JSON like {{"model": "org/collap-mini"}}.') from error
    if not isinstance(model, str) or not model:
        raise SpaceError(f"{settings} names no model: “model” is {model!r}.")
    return model
