"""Schemas of a prompt's worked examples."""

from cluster.service.schemas.base import Answer


class ExamplePart(Answer):
    """A part of a worked example's response."""

    label: str
    """"Step 2", "Answer" or "Response"."""
    text: str
    """The text with its line breaks, without its label."""


class WorkedExample(Answer):
    """A demonstration in a prompt, in parts; the prompt itself has it as it is sent."""

    input: str
    parts: list[ExamplePart]
    new: bool = False
    """True if the parent's prompt does not have it."""
