"""Answer inputs with an optimized prompt, in this process and without Ray."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cluster.config.experiment import ExperimentSettings, SamplingSettings
from cluster.evaluation.prompts import read_prompt_file
from cluster.experiment.prepare import SETTINGS_FILE
from optimizer.errors import EndpointError, SettingsError, UserError
from optimizer.graders.graders import as_spec
from optimizer.prompt import Prompt
from optimizer.tasks.columns import Columns, visible_row
from optimizer.types import Completion, Example, Failed, Outcome, Request, Sampling
from serving.models import open_in_process
from serving.settings import ModelSettings, addressed, parse_model
from serving.settings.validation import validated
from serving.storage import split_place

AT_ONCE = 256
"""Inputs that are answered together; the model's own limit of concurrent calls holds as well
[ours].
"""
TARGET_SETTINGS = "target_settings"
"""Key of a best prompt's file: the target model as settings have it, without any key."""
SAMPLING = "sampling"


@dataclass(frozen=True)
class Applied:
    """An input with its answer."""

    example: Example
    output: str
    """The target's whole response; "" where none came."""
    answer: str
    """The answer as the grader of the prompt's own experiment reads it; "" where there is none."""
    error: str = ""
    """Why no response came."""


@dataclass(frozen=True)
class ApplicablePrompt:
    """A prompt with the model that it is used with, and how answers are read."""

    prompt: Prompt
    model: ModelSettings
    sampling: Sampling
    grader: Any
    """As the file has it; None where it names none."""

    @classmethod
    def read(
        cls, file: str | Path, target: str | Mapping[str, Any] | None = None
    ) -> "ApplicablePrompt":
        """Return the prompt of a file of a results folder's best/.

        Args:
            file: A path or URI; it may have been moved.
            target: The model to use; None for the one that the prompt was optimized for.

        Raises:
            StorageError: The file cannot be read.
            DataError: The file holds no prompt.
            SettingsError: The model is not known any more.
        """
        data = read_prompt_file(file)
        prompt = Prompt.from_json(data.get("prompt", data))
        own = addressed(target) if target else target_of(data, str(file))
        if own is None:
            raise SettingsError(
                f"{file} has no endpoint URL of its target model; name the model with --target."
            )
        sampling = validated(SamplingSettings, data.get(SAMPLING) or {}).build()
        grader = data.get("grader") or data.get("scorer") or None
        return cls(prompt, parse_model(own), sampling, grader)

    async def answers(self, examples: Sequence[Example]) -> AsyncIterator[list[Applied]]:
        """Yield the answers of the examples, in their order, some at a time.

        Raises:
            AccessError: The model refuses the key.
            EndpointError: The model is gone.
        """
        client = open_in_process(self.model)
        for at in range(0, len(examples), AT_ONCE):
            part = examples[at : at + AT_ONCE]
            requests = [self._request(example) for example in part]
            outcomes = await client.complete(requests)
            answers = await self._read(part, outcomes)
            yield [
                Applied(example, "", "", outcome.reason)
                if isinstance(outcome, Failed)
                else Applied(example, outcome.text, answer)
                for example, outcome, answer in zip(part, outcomes, answers, strict=True)
            ]

    def _request(self, example: Example) -> Request:
        hidden = Columns().of_target(list(example.fields))
        return Request(
            self.prompt.render(example.input, example.history),
            self.sampling,
            row=visible_row(example, hidden) if self.model.sees_examples else None,
        )

    async def _read(self, examples: Sequence[Example], outcomes: Sequence[Outcome]) -> list[str]:
        """Return the answer in each response, as the grader reads it."""
        pairs = [
            (outcome, example)
            for outcome, example in zip(outcomes, examples, strict=True)
            if isinstance(outcome, Completion)
        ]
        try:
            spec = None if self.grader is None else as_spec(self.grader)
            scores = [] if spec is None else await spec.build().grade(pairs)
        except UserError:  # a grader of somebody else's, or one that needs more than a response
            scores = []
        read = iter([score.answer for score in scores] or [""] * len(pairs))
        return [next(read) if isinstance(outcome, Completion) else "" for outcome in outcomes]


async def apply_prompt(
    file: str | Path, input: str, target: str | Mapping[str, Any] | None = None
) -> str:
    """Return the target's whole response.

    Args:
        file: A file of a results folder's best/.
        input: What to answer.
        target: The model to use; None for the one that the prompt was optimized for.

    Raises:
        StorageError: The file cannot be read.
        DataError: The file holds no prompt.
        SettingsError: The model is not known any more.
        AccessError: The model refuses the key.
        EndpointError: The model does not answer.
    """
    return (await apply_once(file, input, target)).output


async def apply_once(
    file: str | Path, input: str, target: str | Mapping[str, Any] | None = None
) -> Applied:
    """Return the target's response to one input, and the answer in it.

    Raises:
        PromptrayError: As `apply_prompt`.
    """
    prompt = ApplicablePrompt.read(file, target)
    async for (applied,) in prompt.answers([Example("1", input, ())]):
        if applied.error:
            raise EndpointError(f"The model {prompt.model.label} gave no answer: {applied.error}")
        return applied
    raise AssertionError("there is one input")


def target_of(about: Mapping[str, Any], place: str) -> str | dict[str, Any] | None:
    """Return the target model of a prompt's file, as settings have it; None where it is not known.

    The file says it, else the settings of the results folder that it lies in, else its label.

    Args:
        about: The file's content.
        place: Its path or URI; "" where there is none.
    """
    if isinstance(carried := about.get(TARGET_SETTINGS), str | dict):
        return carried
    if place:
        best, _ = split_place(place)
        results, _ = split_place(best.absolute().place)
        if results.exists(SETTINGS_FILE):
            return ExperimentSettings.view(results.place_of(SETTINGS_FILE)).target
    label = str(about.get("target", ""))
    return label if label.startswith("builtin:") else None


def carried_by(settings: ExperimentSettings) -> dict[str, dict[str, Any]]:
    """Return what the best prompts of each task carry of the settings, by the task's label.

    Settings name keys, and never hold one.
    """
    shared = {TARGET_SETTINGS: settings.target, SAMPLING: settings.sampling.model_dump(mode="json")}
    return {
        task.label: shared | ({} if task.scorer is None else {"grader": task.scorer})
        for task in settings.tasks
    }
