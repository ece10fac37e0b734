"""The rulebook's answers to OPRO, APO-Sum and PromptAgent: what they make of scores, of criticisms,
and of a series of prompts.
"""

from random import Random

from optimizer.operators.asking import Question
from optimizer.operators.edit import edit
from optimizer.operators.propose import propose
from optimizer.operators.rewrite import rewrite
from optimizer.operators.summarise import summarise
from optimizer.tasks.generated import GENERATED
from optimizer.types import Answer, Completion, Example, Message, Request, Score
from serving.engines.rulebook.engine import RulebookEngine
from serving.engines.rulebook.phrasebook import PHRASEBOOK, STOCK_REASONS, VAGUE, kind_of, sentences

NAVIGATE = GENERATED["navigate"]
BOOK = PHRASEBOOK["navigate"]
EXAMPLES = [Example(str(at), NAVIGATE.generate(Random(at)).question(), ("Yes",)) for at in range(3)]
ERRORS = [Answer(example, "Answer: No", Score("wrong", "No")) for example in EXAMPLES]
SCORED = [
    ("Be precise.", 10),
    ("Take your time.", 20),
    ("Look twice.", 20),
    ("List all the moves in order.", 60),
    ("Take your time. Name each move, one after another.", 60),
    ("Think carefully. Keep track of the coordinates after every move.", 70),
]


async def replies(question: Question[str], prior_bias: float = 0.0) -> list[str]:
    """Return what is read from thirty samples of one question."""
    requests = [Request((Message("user", question.text),), sample=sample) for sample in range(30)]
    return [
        question.read(outcome.text)
        for outcome in await RulebookEngine(prior_bias).complete(requests)
        if isinstance(outcome, Completion)
    ]


def kinds(text: str) -> list[str]:
    """Return the kinds of step that a prompt asks for, in its order."""
    return [kind for sentence in sentences(text) if (kind := kind_of(sentence, NAVIGATE))]


async def test_a_proposal_recombines_instructions_without_repeated_steps() -> None:
    made = await replies(propose("", SCORED, EXAMPLES, 500))
    assert all(len(kinds(text)) == len(set(kinds(text))) and len(text) <= 500 for text in made)
    assert sum({"moves", "positions"} <= set(kinds(text)) for text in made) > 5
    assert len(set(made)) > 20


async def test_now_and_then_a_proposal_has_a_request_of_its_own() -> None:
    made = await replies(propose("", SCORED, EXAMPLES, 500))
    fresh = [text for text in made if set(kinds(text)) - {"moves", "positions"}]
    assert 0 < len(fresh) < len(made)


async def test_the_best_instruction_is_drawn_on_more_than_the_worst() -> None:
    made = await replies(propose("", SCORED, EXAMPLES, 500))
    assert sum("coordinates" in text for text in made) > sum("Be precise" in text for text in made)


async def test_a_biased_proposal_is_the_best_one_with_general_advice() -> None:
    best = SCORED[-1][0]
    assert set(await replies(propose("", SCORED, EXAMPLES, 500), prior_bias=1.0)) <= {
        f"{best} {advice}." for advice in VAGUE
    }


async def test_nothing_scored_and_an_unknown_task_are_answered() -> None:
    assert all(await replies(propose("", [], EXAMPLES, 500)))
    assert all(
        await replies(
            propose("", [("Think.", 50)], [Example("1", "Which is sarcastic?", ("a",))], 500)
        )
    )


async def test_a_summary_says_each_cause_once_and_the_commonest_first() -> None:
    said = ["The moves are not listed.", "No end is named.", "The moves are not listed."]
    assert set(await replies(summarise("", "Think.", said))) == {
        "- The moves are not listed.\n- No end is named."
    }
    biased = await replies(summarise("", "Think.", said), prior_bias=1.0)
    assert set(biased) == {f"- {reason}" for reason in STOCK_REASONS}


async def test_an_edit_asks_for_every_cause_of_a_summary() -> None:
    causes = (
        f"- In the responses {BOOK['moves'].missing}.\n- In the responses {BOOK['facing'].missing}."
    )
    for text in await replies(edit("", "Let's think step by step.", ERRORS, causes)):
        assert kinds(text) == ["moves", "facing"]


async def test_a_rewrite_does_not_repeat_what_the_series_has_tried() -> None:
    series = [
        "Think.",
        "Think. List all the moves in order.",
        "Think. Write out every move of the route.",
    ]
    made = await replies(rewrite("", series, ERRORS, f"In the responses {BOOK['moves'].missing}."))
    assert all(kinds(text) == ["moves"] and text.startswith("Think. ") for text in made)
    tried = {sentence for text in series for sentence in sentences(text)} - {"Think"}
    assert not any(sentence in tried for text in made for sentence in sentences(text))
    biased = await replies(
        rewrite("", ["Think.", "Think. Be precise."], ERRORS, "It is vague."), prior_bias=1.0
    )
    assert all(
        text.startswith("Think. Be precise. ") and text.count("Be precise") == 1 for text in biased
    )
