"""Templates of pages and reports, rendered alike in every room."""

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

from .timeline import clock


def page_environment(*packages: str, autoescape: bool = True) -> Environment:
    """Templates of these packages and, after them, of this one, which has what pages share; with the filter `clock`."""
    environment = Environment(
        loader=ChoiceLoader([PackageLoader(package) for package in (*packages, __package__)]),
        autoescape=autoescape,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["clock"] = clock
    return environment
