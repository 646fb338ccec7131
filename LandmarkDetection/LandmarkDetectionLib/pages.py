"""Web pages from the package's templates. What is put into them is escaped; their style is one for all."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Any

from .wording import counted


def render_page(template: str, **values: Any) -> str:
    """The HTML of a template in Resources/Templates, filled with values.

    Raises:
        jinja2.UndefinedError: if the template names a value that is not given.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    folder = Path(str(files("LandmarkDetectionLib"))) / "Resources" / "Templates"
    environment = Environment(loader=FileSystemLoader(folder), autoescape=True, undefined=StrictUndefined)
    environment.globals["counted"] = counted
    return environment.get_template(template).render(**values)
