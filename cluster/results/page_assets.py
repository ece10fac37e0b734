"""Render a page that works offline: template, scripts and styles in one file, settings as YAML.

The page's security policy names the hashes of its scripts.
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
        package: The package that has the template.
        template: Its name.
        settings: Shown as YAML, so they must hold no secrets.
        filters: Filters of this template, beside those of numbers and texts.
        functions: What else it calls, by name.
        **content: What it shows.
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
    """Return the environment that renders the templates of a package; see `render`."""
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
    """Return a text file of a package, with the line ends that a browser hashes."""
    return (
        files(package)
        .joinpath(path)
        .read_text(encoding="utf-8")
        .replace("\r\n", "\n")
        .replace("</script", "<\\/script")
    )


def _script_hash(script: str) -> str:
    """Return a script's hash as a page's security policy names it."""
    return "sha256-" + base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


def _shown_yaml(settings: Mapping[str, Any]) -> str:
    """Return settings as YAML for people."""
    return yaml.safe_dump(
        json.loads(json.dumps(settings, default=str)), sort_keys=False, allow_unicode=True
    )
