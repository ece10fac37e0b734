"""Every kind of grader keeps the contract, and scores as it says."""

import json
import random
import re
import string
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.config.grader import check_grader
from optimizer.errors import DataError, SettingsError
from optimizer.graders.base import pure_part
from optimizer.graders.graders import GRADERS, GraderSpec, as_spec
from optimizer.graders.json_fields import JSONFields
from optimizer.graders.judging.expression import Expression
from optimizer.graders.python import FUNCTIONS
from optimizer.graders.text_similarity import METRICS, TextSimilarity
from optimizer.graders.token_f1 import TokenF1, f1
from optimizer.types import Completion, Example, Score
from tests.contracts.grader_contract import FAST, GraderContract

ORDER = {"customer": "Ada", "items": [{"sku": "A1", "count": 2}], "total": 19.5, "city": "Bern"}


def score(grader: Any, text: str, *answers: str) -> Score:
    return pure_part(grader).score(Completion(text), Example("1", "?", answers))  # type: ignore[union-attr]


class TestExact(GraderContract):
    spec = GraderSpec("exact")


class TestNumber(GraderContract):
    spec = GraderSpec("number")


class TestRegex(GraderContract):
    spec = GraderSpec("regex")
    examples = (Example("1", "?", (r"\d\d",)), Example("2", "?", (r"\d",)))


class TestChoice(GraderContract):
    spec = GraderSpec("choice")
    examples = (
        Example("1", "?", ("12",), ("12", "7")),
        Example("2", "?", ("7",), ("12", "7")),
    )


class TestContains(GraderContract):
    spec = GraderSpec("contains", {"match": "all"})
    examples = (Example("1", "?", ("Refund", "seven days")), Example("2", "?", ("late",)))
    gold = ("We refund it within  SEVEN days.", "It is late")

    async def test_a_part_of_the_targets_is_a_part_of_the_score(self) -> None:
        found = await self.one("A refund comes.")
        assert (found.verdict, found.value) == ("partial", 0.5)
        assert found.feedback == "The response does not contain 'seven days'."

    def test_one_of_several_is_enough_where_any_counts(self) -> None:
        grader = GraderSpec("contains", {"case": True}).build()
        assert score(grader, "so Bern it is", "Zug", "Bern").verdict == "right"
        assert score(grader, "so bern it is", "Zug", "Bern").value == 0.0
        assert "any of" in score(grader, "so bern it is", "Zug", "Bern").feedback


class TestJSON(GraderContract):
    spec = GraderSpec("json")
    examples = (
        Example("1", "?", (json.dumps(ORDER),)),
        Example("2", "?", ('[1, {"a": null}]',)),
    )
    gold = (
        f"Here it is:\n```json\n{json.dumps(ORDER, indent=2)}\n```\nI hope that helps {{you}}!",
        'The list is [1.0, {"a": null}], as asked.',
    )

    async def test_the_share_of_right_fields_and_the_wrong_ones_by_name(self) -> None:
        given = ORDER | {"total": 20, "city": None, "note": "x" * 500}
        found = await self.one(json.dumps(given))
        assert found.value == pytest.approx(2 / 5)
        assert found.feedback.startswith(
            'Wrong fields: total is 20, should be 19.5; city is null, should be "Bern"; note is "xxx'
        )
        assert found.feedback.endswith("and should not be there.")
        assert len(found.feedback) < 400
        assert json.loads(found.answer) == given

    async def test_many_wrong_fields_are_counted_and_not_all_named(self) -> None:
        found = await self.one(json.dumps({f"k{n}": n for n in range(500)}))
        assert found.value == 0.0
        assert "and 496 more" in found.feedback

    async def test_no_json_is_unparsable_and_one_that_was_cut_off_is_truncated(self) -> None:
        assert (await self.one("I cannot do that")).verdict == "unparsable"
        assert (await self.one('{"customer": "Ada", "items', truncated=True)).verdict == "truncated"

    async def test_the_last_value_of_the_targets_kind_counts(self) -> None:
        draft = json.dumps(ORDER | {"city": "Zug"})
        assert (await self.one(f"Draft: {draft}\nFinal: {json.dumps(ORDER)} [sic]")).value == 1.0
        assert (await self.one(f"Not {json.dumps(ORDER)} but {draft}")).value == pytest.approx(
            3 / 4
        )

    @pytest.mark.parametrize(
        ("settings", "given", "value"),
        [
            ({"score_by": "whole"}, {"city": "Zug"}, 0.0),
            ({"score_by": "whole"}, {}, 1.0),
            ({"fields": {"city": "ignore"}}, {"city": "Zug"}, 1.0),
            ({"fields": {"city": "text"}}, {"city": " BERN "}, 1.0),
            ({"fields": {"city": "contains"}}, {"city": "Bern, Switzerland"}, 1.0),
            ({"fields": {"total": "number"}}, {"total": "19.50"}, 1.0),
            ({"fields": {"total": {"rule": "number", "tolerance": 0.5}}}, {"total": 20}, 1.0),
            ({"fields": {"total": {"rule": "number", "relative": 0.01}}}, {"total": 20}, 3 / 4),
            ({"fields": {"total": {"weight": 3}}}, {"total": 1}, 1 / 2),
            ({"extra": "ignore"}, {"note": 1}, 1.0),
            ({}, {"note": 1}, 4 / 5),
            ({}, {"total": "19.5"}, 3 / 4),
            ({}, {"total": True}, 3 / 4),
        ],
    )
    def test_rules(self, settings: dict[str, Any], given: dict[str, Any], value: float) -> None:
        spec = GraderSpec("json", settings)
        check_grader(spec)
        found = score(spec.build(), json.dumps(ORDER | given), json.dumps(ORDER))
        assert found.value == pytest.approx(value)

    def test_a_set_has_no_order_and_nested_objects_are_fields(self) -> None:
        grader = JSONFields(fields={"tags": "set", "to.name": "text"})
        target = '{"tags": ["a", {"b": 1}], "to": {"name": "Bo", "zip": 1}}'
        given = '{"to": {"zip": 1, "name": "bo"}, "tags": [{"b": 1}, "a"]}'
        assert score(grader, given, target).value == 1.0
        assert score(
            grader, '{"tags": ["a", "a"], "to": {"zip": 1}}', target
        ).value == pytest.approx(1 / 3)
        assert "to.name is missing" in score(grader, '{"to": {}}', target).feedback

    def test_the_best_of_several_targets_counts(self) -> None:
        assert score(JSONFields(), '{"a": 2}', '{"a": 1}', '{"a": 2}').value == 1.0

    def test_a_schema_comes_first_and_may_stand_alone(self) -> None:
        schema = {
            "type": "object",
            "required": ["sku"],
            "properties": {"sku": {"type": "string", "pattern": "^[A-Z]\\d+$"}},
        }
        spec = GraderSpec("json", {"schema": schema})
        check_grader(spec)
        assert score(spec.build(), '{"sku": "A1"}').value == 1.0
        found = score(spec.build(), '{"sku": "a1"}', '{"sku": "a1"}')
        assert found.value == 0.0
        assert "$.sku" in found.feedback

    @pytest.mark.parametrize(
        ("schema", "why"),
        [
            ({"type": "objct"}, "cannot be used"),
            ({"$ref": "https://evil.invalid/x.json"}, "not in it"),
            ({"$ref": "file:///etc/passwd"}, "not in it"),
            ({"$ref": "#"}, "refers to itself"),
            ({"$ref": "#/$defs/none"}, "there is no"),
            ({"pattern": "(a+)+(?=b)"}, "looks ahead"),
            ({"patternProperties": {"^(a+)+$": {}}}, "patternProperties"),
            (
                {
                    "$defs": {
                        f"d{n}": {"allOf": [{"$ref": f"#/$defs/d{n + 1}"}] * 2} for n in range(40)
                    }
                    | {"d40": {}},
                    "$ref": "#/$defs/d0",
                },
                "more than",
            ),
        ],
    )
    def test_a_schema_that_reaches_out_or_explodes_is_refused(
        self, schema: dict[str, Any], why: str
    ) -> None:
        with pytest.raises(SettingsError, match=why):
            JSONFields(schema=schema)

    def test_a_local_reference_is_followed(self) -> None:
        grader = JSONFields(
            schema={"$defs": {"n": {"type": "integer"}}, "properties": {"a": {"$ref": "#/$defs/n"}}}
        )
        assert score(grader, '{"a": 1}').value == 1.0
        assert score(grader, '{"a": "x"}').value == 0.0

    def test_a_target_that_is_no_json_is_named(self) -> None:
        assert "not JSON" in JSONFields().fault_of(Example("1", "?", ("so",)))
        assert JSONFields().fault_of(Example("1", "?", ())) == "has no target"

    @FAST
    @given(
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.text(max_size=8),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(st.text(max_size=5), inner, max_size=3)
            ),
            max_leaves=12,
        )
    )
    def test_every_value_equals_itself_in_any_form(self, value: Any) -> None:
        target = {"value": value}
        for text in (json.dumps(target), f"so:\n```\n{json.dumps(target, indent=1)}\n```"):
            assert score(JSONFields(), text, json.dumps(target)).value == 1.0


class TestTokenF1(GraderContract):
    spec = GraderSpec("token_f1")
    wrong = "Answer: some others"

    @FAST
    @given(
        st.lists(
            st.sampled_from(["the", "A", "an", "cat", "Cat.", "dog!", "it's", "é"]), max_size=8
        ),
        st.lists(st.sampled_from(["the", "a", "cat", "dog", "its", "É", "bird"]), max_size=8),
    )
    def test_it_is_the_f1_of_squad(self, one: list[str], other: list[str]) -> None:
        answer, target = " ".join(one), " ".join(other)
        assert f1(answer, target) == squad_f1(target, answer)

    def test_the_feedback_says_what_is_lacking(self) -> None:
        found = score(TokenF1(), "Answer: the big cat", "a cat of Bern")
        assert found.verdict == "partial"
        assert "it lacks 'of bern'" in found.feedback
        assert "1 words that are not in the target" in found.feedback


def squad_f1(a_gold: str, a_pred: str) -> float:
    """As evaluate-v2.0.py of SQuAD has it."""

    def normalize_answer(s: str) -> str:
        s = "".join(ch for ch in s.lower() if ch not in set(string.punctuation))
        return " ".join(re.sub(re.compile(r"\b(a|an|the)\b", re.UNICODE), " ", s).split())

    gold_toks, pred_toks = normalize_answer(a_gold).split(), normalize_answer(a_pred).split()
    common = Counter(gold_toks) & Counter(pred_toks)
    num_same = sum(common.values())
    if len(gold_toks) == 0 or len(pred_toks) == 0:
        return int(gold_toks == pred_toks)
    if num_same == 0:
        return 0
    precision, recall = 1.0 * num_same / len(pred_toks), 1.0 * num_same / len(gold_toks)
    return (2 * precision * recall) / (precision + recall)


WORDS = "the cat sat on a mat while rain fell over Bern and nobody came home 12 3.5".split()
PAIRS = [
    (
        " ".join(draw.choices(WORDS, k=draw.randint(1, 30))),
        " ".join(draw.choices(WORDS, k=draw.randint(1, 30))),
    )
    for draw in [random.Random(4)]
    for _ in range(100)
]


class TestTextSimilarity(GraderContract):
    spec = GraderSpec("text_similarity", {"metric": "rouge_l"})
    gold = ("12", "7")

    def test_rouge_is_that_of_rouge_score(self) -> None:
        from rouge_score import rouge_scorer

        for metric, name in {"rouge_l": "rougeL", "rouge_1": "rouge1", "rouge_2": "rouge2"}.items():
            scorer, ours = rouge_scorer.RougeScorer([name]), TextSimilarity(metric)  # type: ignore[arg-type]
            for text, target in PAIRS:
                assert ours.similarity(text, target) == scorer.score(target, text)[name].fmeasure

    def test_bleu_and_chrf_are_those_of_sacrebleu(self) -> None:
        import sacrebleu

        for text, target in PAIRS:
            assert TextSimilarity("bleu").similarity(text, target) == pytest.approx(
                sacrebleu.sentence_bleu(text, [target]).score / 100
            )
            assert TextSimilarity("chrf").similarity(text, target) == pytest.approx(
                sacrebleu.sentence_chrf(text, [target]).score / 100
            )

    def test_fuzzy_is_that_of_rapidfuzz(self) -> None:
        from rapidfuzz import fuzz, utils

        for text, target in PAIRS:
            expected = fuzz.ratio(text, target, processor=utils.default_process) / 100
            assert TextSimilarity("fuzzy").similarity(text, target) == expected

    @pytest.mark.parametrize("metric", METRICS)
    def test_every_metric_is_one_for_the_same_text_and_less_for_another(self, metric: Any) -> None:
        grader = TextSimilarity(metric)
        assert score(grader, "The cat sat on the mat.", "The cat sat on the mat.").value == 1.0
        other = score(grader, "Nobody came home to Bern", "The cat sat on the mat.")
        assert 0.0 <= (other.value or 0.0) < 0.6
        assert metric in other.feedback

    def test_a_threshold_makes_it_right_or_wrong(self) -> None:
        spec = GraderSpec("text_similarity", {"metric": "fuzzy", "pass_threshold": 0.8})
        check_grader(spec)
        assert score(spec.build(), "the cat sat", "the cat sits").value == 1.0
        assert score(spec.build(), "some dogs", "the cat sits").value == 0.0

    def test_a_missing_library_is_named_with_its_extra(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from optimizer.graders import text_similarity

        monkeypatch.setitem(sys.modules, "rapidfuzz.fuzz", None)
        text_similarity._measure.cache_clear()
        with pytest.raises(
            SettingsError, match=r"needs the package rapidfuzz .* promptray\[text\]"
        ):
            TextSimilarity("fuzzy")
        text_similarity._measure.cache_clear()


CODE = '''
import asyncio, time
def right(example, answer):
    """The answer has the target in it."""
    return any(target in answer for target in example.answers)
def share(example, answer):
    return (0.5, "half of it")
async def later(example, answer):
    await asyncio.sleep(0)
    return 1.0 if example.answers[0] in answer else 0.0
def breaks(example, answer):
    raise KeyError("city")
def odd(example, answer):
    return 1.5
def slow(example, answer):
    time.sleep(0.3)
async def broken_later(example, answer):
    raise ValueError(example.fields.get("city"))
NUMBER = 3
'''


@pytest.fixture
def graded_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    (tmp_path / "graded_here.py").write_text(CODE)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(FUNCTIONS, "_imported", {})
    for name in ("right", "share", "later", "breaks", "odd", "slow", "broken_later"):
        FUNCTIONS.import_name(f"graded_here:{name}")
    yield
    sys.modules.pop("graded_here", None)


@pytest.mark.usefixtures("graded_here")
class TestPython(GraderContract):
    spec = GraderSpec("python", {"function": "graded_here:right"})

    async def test_what_a_function_may_give(self) -> None:
        half = GraderSpec("python", {"function": "graded_here:share"}).build()
        (found,) = await half.grade([(Completion("x"), self.examples[0])])
        assert (found.value, found.feedback) == (0.5, "half of it")

    async def test_an_async_function_is_awaited_many_at_once(self) -> None:
        grader = GraderSpec("python", {"function": "graded_here:later", "at_once": 8}).build()
        pairs = [(Completion("it is 7"), example) for example in self.examples] * 10
        assert [score.value for score in await grader.grade(pairs)] == [0.0, 1.0] * 10

    @pytest.mark.parametrize(
        ("name", "why"),
        [
            ("breaks", "fails \\(KeyError: 'city'\\), for example 1"),
            ("odd", "gives 1.5; it must give .*, for example 1"),
            ("broken_later", "ValueError: None"),
        ],
    )
    async def test_a_function_that_breaks_stops_the_run_and_is_no_score(
        self, name: str, why: str
    ) -> None:
        grader = GraderSpec("python", {"function": f"graded_here:{name}"}).build()
        with pytest.raises(DataError, match=why):
            await grader.grade([(Completion("x"), self.examples[0])] * 3)

    async def test_a_function_that_does_not_end_stops_the_run(self) -> None:
        grader = GraderSpec("python", {"function": "graded_here:slow", "timeout_s": 0.05}).build()
        with pytest.raises(DataError, match=r"more than 0.05 s, for example 1"):
            await grader.grade([(Completion("x"), self.examples[0])])

    async def test_a_function_that_was_not_imported_is_never_imported_by_grading(self) -> None:
        grader = GraderSpec("python", {"function": "os:abort"}).build()
        with pytest.raises(SettingsError, match="no grading function called 'os:abort'"):
            await grader.grade([(Completion("x"), self.examples[0])])

    def test_it_is_described_by_its_docstring(self) -> None:
        assert self.grader().accepts == "The answer has the target in it"

    def test_what_is_no_function_is_refused(self) -> None:
        with pytest.raises(SettingsError, match="no function"):
            FUNCTIONS.import_name("graded_here:NUMBER")


class TestMulti(GraderContract):
    spec = GraderSpec(
        "multi",
        {
            "parts": {"number": "number", "said": {"kind": "contains", "case": True}},
            "weights": {"number": 3},
        },
    )

    async def test_scores_are_weighted_and_feedback_is_named_by_part(self) -> None:
        found = await self.one("Answer: twelve")
        assert (found.verdict, found.value) == ("partial", 0.75)
        assert found.feedback == "said: The response does not contain '12'."

    @pytest.mark.parametrize(
        ("settings", "value"),
        [
            ({"combine": "min"}, 0.0),
            ({"combine": "all"}, 0.0),
            ({"calculate_output": "0.6 * number + 0.4 * said"}, 0.6),
            ({"calculate_output": "max(number, said) / 0"}, 0.0),
            ({"calculate_output": "3 * number"}, 1.0),
        ],
    )
    async def test_ways_to_combine(self, settings: dict[str, Any], value: float) -> None:
        spec = GraderSpec("multi", {**self.spec.settings, **settings})
        check_grader(spec)
        (found,) = await spec.build().grade([(Completion("Answer: twelve"), self.examples[0])])
        assert found.value == value

    def test_it_calls_no_model_if_its_parts_call_none(self) -> None:
        assert score(self.grader(), "Answer: 12", "12").value == 1.0

    @pytest.mark.parametrize(
        ("settings", "why"),
        [
            ({"parts": {}}, "1 to 20 parts"),
            ({"parts": {"a": "nobody"}}, "no .* called 'nobody'"),
            ({"parts": {"a": {"match": "any"}}}, "mapping with its kind"),
            ({"parts": {"a": "exact"}, "weights": {"b": 1}}, "weight for 'b'"),
            ({"parts": {"a": "exact"}, "weights": {"a": 0}}, "not all 0"),
            ({"parts": {"a": "exact"}, "calculate_output": "a + b"}, "the name 'b'"),
            ({"parts": {"a": "exact"}, "calculate_output": "__import__('os')"}, "may have numbers"),
            ({"parts": {"a": "exact"}, "calculate_output": "a.real"}, "may have numbers"),
            ({"parts": {"a": "exact"}, "calculate_output": "(" * 900}, "cannot be read"),
            ({"parts": {"a": "exact"}, "calculate_output": "9**9**9"}, "may have numbers"),
            ({"parts": {"a": {"kind": "contains", "match": "some"}}}, "match"),
        ],
    )
    def test_settings_that_cannot_be(self, settings: dict[str, Any], why: str) -> None:
        with pytest.raises(SettingsError, match=why):
            check_grader(GraderSpec("multi", settings))


@given(st.floats(0, 1), st.floats(0, 1))
def test_a_formula_gives_a_score(one: float, other: float) -> None:
    for text in (
        "a + b",
        "a - b",
        "a / b",
        "log(a) * exp(b)",
        "-a",
        "sqrt(a - b)",
        "floor(a)",
        "1e308 * 10",
    ):
        assert 0.0 <= Expression.read(text, ("a", "b")).value({"a": one, "b": other}) <= 1.0


def test_a_kind_with_an_unknown_setting_is_answered_with_the_known_ones() -> None:
    with pytest.raises(SettingsError, match="did you mean 'match'"):
        check_grader(as_spec({"kind": "contains", "matches": "any"}))
    with pytest.raises(SettingsError, match="known are: choice, contains"):
        check_grader(as_spec({"kind": "nobody"}))


def test_every_kind_of_the_table_has_a_suite_of_the_contract() -> None:
    suites = {suite.spec.name for suite in GraderContract.__subclasses__()}
    elsewhere = {"label_model", "score_model", "string_check"}  # test_judges, test_openai_objects
    assert set(GRADERS.table) == suites | elsewhere
