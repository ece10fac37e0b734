"""Render a page that works offline: template, scripts and styles in one file, settings as YAML.

The page's security policy names the hashes of its scripts.
"""

import base64
import hashlib
import json
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any

import yaml
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from cluster.text import formatting


def render(
    environment: Environment, template: str, settings: Mapping[str, Any], **content: Any
) -> str:
    """Return a page as HTML; about 5 MB, nearly all of it Plotly.

    Args:
        environment: What renders the templates of the page; see `environment_of`.
        template: The name of the template.
        settings: Shown as YAML, so they must hold no secrets.
        **content: What it shows.
    """
    scripts = [
        _script("plotly", "package_data/plotly.min.js"),
        _script("cluster.results", "templates/report.js"),
    ]
    return environment.get_template(template).render(
        settings=_shown_yaml(settings),
        style=Markup(asset("cluster.results", "templates/report.css")),
        scripts=[script for script, _ in scripts],
        hashes=[script_hash for _, script_hash in scripts],
        **content,
    )


def environment_of(
    package: str, filters: Mapping[str, Any], functions: Mapping[str, Any]
) -> Environment:
    """Return the environment that renders the templates of a package.

    Args:
        package: The package that has the templates.
        filters: Their filters, beside those of numbers and texts.
        functions: What else they call, by name.
    """
    environment = Environment(
        loader=PackageLoader(package),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    shared = ("share", "count", "duration", "shortened")
    environment.filters.update({name: getattr(formatting, name) for name in shared}, **filters)
    environment.globals.update(functions)
    return environment


def asset(package: str, path: str) -> str:
    """Return a text file of a package, with the line ends that a browser hashes."""
    return (
        files(package)
        .joinpath(path)
        .read_text(encoding="utf-8")
        .replace("\r\n", "\n")
        .replace("</script", "<\\/script")
    )


@cache  # a run renders its page again and again, and Plotly is 5 MB
def _script(package: str, path: str) -> tuple[Markup, str]:
    """Return a script of a package as markup, and its hash."""
    script = asset(package, path)
    return Markup(script), _script_hash(script)


def _script_hash(script: str) -> str:
    """Return a script's hash as a page's security policy names it."""
    return "sha256-" + base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


def _shown_yaml(settings: Mapping[str, Any]) -> str:
    """Return settings as YAML for people."""
    return yaml.safe_dump(
        json.loads(json.dumps(settings, default=str)), sort_keys=False, allow_unicode=True
    )
