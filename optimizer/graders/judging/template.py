"""Templates with `{{ item.FIELD }}` and `{{ sample.output_text }}`, as OpenAI's graders have them.

They are filled in one pass: what data holds is never read as a template again.
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from optimizer.errors import DataError, SettingsError, shortened
from optimizer.graders.reading.json_values import values_in
from optimizer.types import Completion, Example

_PLACE = re.compile(r"\{\{\s*([^{}]*?)\s*\}\}")
_NAME = re.compile(r"(item|sample)((?:\.[\w-]+|\[\d{1,4}\])+)")
_PART = re.compile(r"[\w-]+")
_CUT = "[…]"


@dataclass(frozen=True)
class DataTemplate:
    """A text with places for data.

    Raises:
        SettingsError: A place names neither a field of the item nor the output.
    """

    text: str

    def __post_init__(self) -> None:
        for name in self.names:
            known = _NAME.fullmatch(name)
            parts = _PART.findall(known[2]) if known else []
            of_sample = known is not None and known[1] == "sample"
            if known is None or (of_sample and parts[0] not in ("output_text", "output_json")):
                raise SettingsError(
                    f"The template names {{{{ {shortened(name, 60)} }}}}; it may name item.FIELD, "
                    "sample.output_text and sample.output_json.FIELD."
                )

    @property
    def names(self) -> list[str]:
        """Return what its places name, in their order."""
        return _PLACE.findall(self.text)

    def filled(self, data: "ItemData", treat: Callable[[str], str] = str) -> str:
        """Return the text with the data in its places.

        Args:
            data: What the places stand for.
            treat: Makes data harmless where the text has a structure of its own.

        Raises:
            DataError: The item has no such field.
        """
        return _PLACE.sub(lambda found: treat(data.text(found[1])), self.text)

    def most_bytes(self, item_bytes: int, output_bytes: int) -> int:
        """Return the most bytes that it can have when it is filled."""
        places = sum(
            output_bytes if name.startswith("sample") else item_bytes for name in self.names
        )
        return len(_PLACE.sub("", self.text).encode("utf-8", "surrogatepass")) + places


@dataclass(frozen=True)
class ItemData:
    """The data of one item: its row, and the output of the target model."""

    example: Example
    output: str

    def text(self, name: str) -> str:
        """Return what a place stands for, as text; other values as JSON.

        Raises:
            DataError: The item has no such field.
        """
        root, *path = _PART.findall(name)
        if root == "sample":
            if path[0] == "output_text":
                return self.output
            value, path = self._json, path[1:]
        else:
            value = self._item
        for at, part in enumerate(path):
            if isinstance(value, Mapping) and part in value:
                value = value[part]
            elif isinstance(value, list | tuple) and part.isdigit() and int(part) < len(value):
                value = value[int(part)]
            elif root == "sample":
                # What an output lacks is nothing to blame the data for.
                return ""
            else:
                known = ", ".join(map(str, self._item)) if at == 0 else "no more"
                raise DataError(
                    f"Example {shortened(self.example.id)} has no field {shortened(name, 60)}, "
                    f"which the grader's template names; it has: {shortened(known)}."
                )
        return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)

    @cached_property
    def _item(self) -> Mapping[str, Any]:
        example = self.example
        return {
            "id": example.id,
            "input": example.input,
            "target": next(iter(example.answers), ""),
            "answers": list(example.answers),
            **example.fields,
        }

    @cached_property
    def _json(self) -> Any:
        return next(iter(values_in(self.output)), {})


def output_of(response: Completion, most_bytes: int) -> str:
    """Return what is shown of a response: no more bytes than the budget counts for it."""
    return cut(response.text, most_bytes)


def cut(text: str, most_bytes: int) -> str:
    """Return a text with its middle left out where it has more bytes."""
    data = text.encode("utf-8", "replace")
    if len(data) <= most_bytes:
        return data.decode()
    half = max(0, most_bytes - len(_CUT.encode())) // 2
    # Characters that were cut in two are left out.
    return (
        data[:half].decode("utf-8", "ignore")
        + _CUT
        + data[len(data) - half :].decode("utf-8", "ignore")
    )
