"""OpenAI's grader objects are graders here as they are, or are refused in one sentence."""

from typing import Any

import pytest
from openai.types.graders import (
    LabelModelGrader,
    MultiGrader,
    PythonGrader,
    ScoreModelGrader,
    StringCheckGrader,
    TextSimilarityGrader,
)

from cluster.config.grader import check_grader
from optimizer.errors import SettingsError
from optimizer.graders.graders import GraderSpec, as_spec
from optimizer.graders.judging.judge import Judging
from optimizer.scripted import ScriptedModel
from optimizer.types import Completion, Example
from tests.contracts.grader_contract import GraderContract

CHECK: dict[str, Any] = {
    "type": "string_check",
    "name": "city",
    "input": "{{ sample.output_json.city }}",
    "reference": "{{item.city}}",
    "operation": "eq",
}
SIMILAR: dict[str, Any] = {
    "type": "text_similarity",
    "name": "like",
    "input": "{{sample.output_text}}",
    "reference": "{{item.summary}}",
    "evaluation_metric": "fuzzy_match",
}
LABEL: dict[str, Any] = {
    "type": "label_model",
    "name": "tone",
    "model": "gpt-4o-mini",
    "input": [
        {"role": "developer", "content": "Judge the tone."},
        {
            "type": "message",
            "role": "user",
            "content": {"type": "input_text", "text": "{{sample.output_text}}"},
        },
    ],
    "labels": ["kind", "rude"],
    "passing_labels": ["kind"],
}
SCORE: dict[str, Any] = {
    "type": "score_model",
    "name": "quality",
    "model": "gpt-4o-mini",
    "input": [
        {
            "role": "user",
            "content": ["Rate it:", {"type": "output_text", "text": "{{sample.output_text}}"}],
        }
    ],
    "range": [1, 7],
    "sampling_params": {"temperature": 0.5, "max_completions_tokens": 99},
}
ROW = Example("1", "?", (), fields={"city": "Bern", "summary": "It rains in Bern"})


class TestStringCheck(GraderContract):
    spec = GraderSpec("string_check", {"operation": "like"})
    gold = ("it is 12.", "7")

    @pytest.mark.parametrize(
        ("operation", "text", "right"),
        [
            ("eq", '{"city": "Bern"}', True),
            ("eq", '{"city": " bern"}', False),
            ("ne", '{"city": "Zug"}', True),
            ("ne", '{"city": "Bern"}', False),
            ("like", '{"city": "In Bern"}', True),
            ("like", '{"city": "in bern"}', False),
            ("ilike", '{"city": "in bern"}', True),
            ("eq", "no json", False),
        ],
    )
    async def test_operations(self, operation: str, text: str, right: bool) -> None:
        grader = as_spec(CHECK | {"operation": operation}).build()
        (score,) = await grader.grade([(Completion(text), ROW)])
        assert (score.value == 1.0) is right


async def test_objects_of_the_sdk_are_read_as_they_are() -> None:
    for kind, given in (
        (StringCheckGrader, CHECK),
        (TextSimilarityGrader, SIMILAR),
        (LabelModelGrader, LABEL),
        (ScoreModelGrader, SCORE),
        (
            MultiGrader,
            {"type": "multi", "name": "m", "graders": SIMILAR, "calculate_output": "like"},
        ),
    ):
        dumped = kind.model_validate(given).model_dump(exclude_none=True)  # type: ignore[attr-defined]
        check_grader(as_spec(dumped))
        check_grader(as_spec(given))
        # What was read is settings of ours: written and read again it is the same.
        assert as_spec(as_spec(given).to_json()) == as_spec(given)


async def test_text_similarity_compares_what_its_templates_make() -> None:
    (score,) = await as_spec(SIMILAR).build().grade([(Completion("It rains in Bern"), ROW)])
    assert score.value == 1.0
    threshold = as_spec(SIMILAR | {"pass_threshold": 0.9}).build()
    (score,) = await threshold.grade([(Completion("It rains in Zug"), ROW)])
    assert score.value == 0.0


async def test_judges_ask_their_own_messages_of_their_own_model() -> None:
    spec = as_spec(LABEL)
    assert spec.judge_models() == ["openai:gpt-4o-mini"]
    model = ScriptedModel(lambda _: "<reason>so</reason><label>kind</label>")
    (score,) = await spec.build(Judging(model)).grade([(Completion("Thanks!"), ROW)])
    assert (score.value, score.answer) == (1.0, "kind")
    system, user = model.batches[0][0].messages
    assert (system.role, system.content) == ("system", "Judge the tone.")
    assert user.content.startswith("Thanks!\n\n")


async def test_a_score_model_has_its_range_and_sampling() -> None:
    model = ScriptedModel(lambda _: "<reason>so</reason><score>4</score>")
    (score,) = await as_spec(SCORE).build(Judging(model)).grade([(Completion("x"), ROW)])
    assert score.value == 0.5
    request = model.batches[0][0]
    assert (request.sampling.temperature, request.sampling.max_tokens) == (0.5, 99)
    assert request.messages[0].content.startswith("Rate it:\nx\n\n")


async def test_multi_calculates_its_output() -> None:
    given = {
        "type": "multi",
        "name": "both",
        "graders": {
            "city": CHECK | {"operation": "ilike", "input": "{{sample.output_text}}"},
            "like": SIMILAR,
        },
        "calculate_output": "0.5 * city + 0.5 * like",
    }
    check_grader(as_spec(given))
    (score,) = await as_spec(given).build().grade([(Completion("It rains in Bern"), ROW)])
    assert score.value == 1.0


@pytest.mark.parametrize(
    ("given", "why"),
    [
        (
            {"type": "python", "name": "p", "source": "def grade(sample, item): ..."},
            "kind: python, function",
        ),
        ({"type": "endpoint"}, "no grader of the type 'endpoint'; known are: string_check"),
        (SIMILAR | {"evaluation_metric": "cosine"}, "metric cosine"),
        (SIMILAR | {"evaluation_metric": "nearly"}, "metric"),
        (CHECK | {"operation": "same"}, "operation"),
        (CHECK | {"input": "{{ sample.choices }}"}, "may name item.FIELD"),
        (CHECK | {"more": 1}, "has no 'more'"),
        (LABEL | {"passing_labels": ["other"]}, "passing_labels must be"),
        (SCORE | {"sampling_params": {"seed": 1}}, "not seed"),
        (
            SCORE
            | {"input": [{"role": "user", "content": {"type": "input_image", "image_url": "x"}}]},
            "images and sound",
        ),
        (
            {"type": "multi", "graders": {"a b": CHECK}, "calculate_output": "1"},
            "mapping from names",
        ),
        ({"type": "multi", "graders": {"a": CHECK}, "calculate_output": "b"}, "the name 'b'"),
        (
            {
                "type": "multi",
                "graders": {"a": {"type": "python", "source": ""}},
                "calculate_output": "a",
            },
            "python",
        ),
    ],
)
def test_what_cannot_be_is_refused_in_one_sentence(given: dict[str, Any], why: str) -> None:
    with pytest.raises(SettingsError, match=why) as caught:
        check_grader(as_spec(given))
    assert "\n" not in str(caught.value)


def test_the_sdk_knows_no_other_type() -> None:
    kinds = {
        kind.model_fields["type"].annotation.__args__[0]  # type: ignore[union-attr]
        for kind in (
            StringCheckGrader,
            TextSimilarityGrader,
            LabelModelGrader,
            ScoreModelGrader,
            MultiGrader,
            PythonGrader,
        )
    }
    assert kinds == {
        "string_check",
        "text_similarity",
        "label_model",
        "score_model",
        "multi",
        "python",
    }
