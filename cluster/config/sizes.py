"""How many examples the splits get, as a settings file, an option or a request writes it."""

import re
from collections.abc import Mapping
from typing import Annotated, Any, Self

from pydantic import (
    AfterValidator,
    Field,
    GetJsonSchemaHandler,
    model_serializer,
    model_validator,
)
from pydantic.json_schema import JsonSchemaValue

from optimizer.errors import SettingsError, shortened
from optimizer.tasks.sizes import SPLITS, AutoSizes, Shares, SizeRule, Sizes
from serving.settings.validation import Strict

AUTO = "auto"
_USUAL = Sizes()
# What int() and float() accept too, such as ² or 1_0, is more likely a slip.
_NUMBER = re.compile(r"[0-9]{1,9}|0?\.[0-9]{1,9}")


def _count_or_share(value: float) -> float:
    """Return a count as a whole number, and a share as it is."""
    if value < 1:
        return value
    if value != int(value):
        raise ValueError("a number of examples is whole, and a share is below 1")
    return int(value)


Size = Annotated[
    float,
    Field(gt=0, le=2**53),
    AfterValidator(_count_or_share),
]


class SizeSettings(Strict):
    """How many examples each split gets: counts, `auto`, or shares of all examples.

    `auto` is 50, 50 and 100 where there are as many, and else what there is. It may stand alone as
    a text; shares are numbers below 1 in place of counts.
    """

    train: Size = _USUAL.train
    dev: Size = _USUAL.dev
    test: Size = _USUAL.test
    auto: bool = False

    @model_validator(mode="before")
    @classmethod
    def _from_text(cls, data: Any) -> Any:
        if data == AUTO:
            return {"auto": True}
        if isinstance(data, str):
            return read_sizes(data)
        if isinstance(data, Mapping) and (shares := data.get("shares")) is not None:
            if len(data) > 1 or not isinstance(shares, Mapping) or set(shares) != set(SPLITS):
                raise SettingsError(
                    "shares are {train: 0.3, dev: 0.3, test: 0.4}, in place of other sizes."
                )
            return dict(shares)
        return data

    @model_validator(mode="after")
    def _is_one_rule(self) -> Self:
        given = [getattr(self, split) for split in SPLITS]
        if self.auto and given != [getattr(_USUAL, split) for split in SPLITS]:
            raise SettingsError("sizes are auto, counts or shares: give one of them.")
        shares = [size < 1 for size in given]
        if any(shares) and not all(shares):
            raise SettingsError(
                "sizes mix counts and shares: give all three as counts, such as 40,40,100, or all "
                "as shares, such as 0.3,0.3,0.4."
            )
        self.build()
        return self

    @model_serializer
    def _written(self) -> dict[str, Any]:
        """Write counts as they were always written; what is new has keys of its own."""
        given = {split: getattr(self, split) for split in SPLITS}
        if self.train < 1:
            return {"shares": given}
        return {**given, "auto": True} if self.auto else given

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: Any, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """Return the schema of requests and answers.

        A client knows counts as what they always were, so shares have a key of their own.
        """
        count = {"type": "integer", "minimum": 1, "maximum": 2**53}
        share = {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1}
        return {
            "title": cls.__name__,
            "type": "object",
            "description": "How many examples each split gets.",
            "additionalProperties": False,
            "properties": {
                **{
                    split: {**count, "title": split.title(), "default": getattr(_USUAL, split)}
                    for split in SPLITS
                },
                "auto": {
                    "title": "Auto",
                    "type": "boolean",
                    "default": False,
                    "description": "The usual sizes where there are as many examples, and else "
                    "what there is; in place of counts.",
                },
                "shares": {
                    "title": "Shares",
                    "type": "object",
                    "description": "Shares of all examples; in place of counts.",
                    "additionalProperties": False,
                    "required": list(SPLITS),
                    "properties": dict.fromkeys(SPLITS, share),
                },
            },
        }

    def build(self) -> SizeRule:
        """Return the sizes as the optimizer takes them."""
        if self.auto:
            return AutoSizes()
        if self.train < 1:
            return Shares(self.train, self.dev, self.test)
        return Sizes(int(self.train), int(self.dev), int(self.test))


def read_sizes(text: str, usual: Mapping[str, int] | None = None) -> dict[str, float]:
    """Return the sizes that an option writes, with commas between.

    Args:
        text: Such as 40,40,60 or 0.3,0.3,0.4.
        usual: The splits and their usual sizes; None: those of an experiment.

    Raises:
        SettingsError: It is nothing of the kind.
    """
    usual = usual or {split: getattr(_USUAL, split) for split in SPLITS}
    parts = [part.strip() for part in text.split(",")]
    if len(parts) != len(usual) or not all(_NUMBER.fullmatch(part) for part in parts):
        raise SettingsError(
            f"The sizes {shortened(text)!r} are not {','.join(usual).upper()}; write for example "
            f"{','.join(map(str, usual.values()))}, or {AUTO}."
        )
    return {
        split: float(part) if "." in part else int(part)
        for split, part in zip(usual, parts, strict=True)
    }
