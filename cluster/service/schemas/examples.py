"""Worked examples of a prompt, for reading."""

from cluster.service.schemas.base import Answer


class ExamplePart(Answer):
    """A part of a worked example's response."""

    label: str
    """ "Step 2", "Answer" or "Response"."""
    text: str
    """With its line breaks, without its label."""


class WorkedExample(Answer):
    """A demonstration of a prompt, for reading; `prompt` has it as it is sent."""

    input: str
    parts: list[ExamplePart]
    new: bool = False
    """The parent's prompt does not have it."""
