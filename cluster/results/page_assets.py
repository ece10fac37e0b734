"""How a page that works offline is made of its template: with the scripts and styles in it as text,
the hashes that its security policy names, and settings as YAML.

Knows no page.
"""

import base64
import hashlib
import json
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

import yaml
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from cluster.text import formatting


def render(
    package: str,
    template: str,
    settings: Mapping[str, Any],
    *,
    filters: Mapping[str, Any] | None = None,
    functions: Mapping[str, Any] | None = None,
    **content: Any,
) -> str:
    """Return a page as HTML; about 5 MB, nearly all of it Plotly.

    Args:
        package: Where the template lies.
        template: Its name.
        settings: They are shown as YAML, so they must hold no secrets.
        filters: The template's own ones, beside those of numbers and texts.
        functions: What else it calls, by name.
        content: What it shows.
    """
    page = environment_of(package, filters, functions).get_template(template)
    scripts = [
        _asset("plotly", "package_data/plotly.min.js"),
        _asset("cluster.results", "templates/report.js"),
    ]
    return page.render(
        settings=_shown_yaml(settings),
        style=Markup(_asset("cluster.results", "templates/report.css")),
        scripts=[Markup(script) for script in scripts],
        hashes=[_script_hash(script) for script in scripts],
        **content,
    )


def environment_of(
    package: str,
    filters: Mapping[str, Any] | None = None,
    functions: Mapping[str, Any] | None = None,
) -> Environment:
    """Return what renders the templates of a package; see `render`."""
    environment = Environment(
        loader=PackageLoader(package),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    shared = ("share", "count", "duration", "shortened")
    environment.filters.update(
        {name: getattr(formatting, name) for name in shared}, **filters or {}
    )
    environment.globals.update(functions or {})
    return environment


def _asset(package: str, path: str) -> str:
    """A text file of a package, with the line ends that a browser hashes."""
    return (
        files(package)
        .joinpath(path)
        .read_text(encoding="utf-8")
        .replace("\r\n", "\n")
        .replace("</script", "<\\/script")
    )


def _script_hash(script: str) -> str:
    """As a page's security policy names a script."""
    return "sha256-" + base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


def _shown_yaml(settings: Mapping[str, Any]) -> str:
    """Settings for people."""
    return yaml.safe_dump(
        json.loads(json.dumps(settings, default=str)), sort_keys=False, allow_unicode=True
    )
