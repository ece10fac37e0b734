"""Object counting: how many fruits (animals, objects ...) do I have, among other things?"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from random import Random

from optimizer.tasks.generated.item import SEPARATOR, GeneratedTask

NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
EVERYTHING = "objects"
_IRREGULAR = {
    "mouse": "mice",
    "fish": "fish",
    "goose": "geese",
    "head of broccoli": "heads of broccoli",
    "stalk of celery": "stalks of celery",
    "sheep": "sheep",
    "tomato": "tomatoes",
    "potato": "potatoes",
    "mango": "mangoes",
    "bookshelf": "bookshelves",
}
THINGS_BY_KIND = {
    "fruits": [
        "apple",
        "apricot",
        "banana",
        "blackberry",
        "cherry",
        "fig",
        "grape",
        "kiwi",
        "lemon",
        "mango",
        "melon",
        "nectarine",
        "orange",
        "peach",
        "pear",
        "plum",
        "raspberry",
        "strawberry",
    ],
    "vegetables": [
        "cabbage",
        "carrot",
        "cauliflower",
        "cucumber",
        "garlic",
        "head of broccoli",
        "leek",
        "lettuce head",
        "onion",
        "pepper",
        "potato",
        "pumpkin",
        "radish",
        "stalk of celery",
        "tomato",
        "turnip",
        "yam",
    ],
    "animals": [
        "bear",
        "cat",
        "chicken",
        "cow",
        "dog",
        "donkey",
        "duck",
        "fish",
        "fox",
        "frog",
        "goat",
        "goose",
        "horse",
        "mouse",
        "pig",
        "rabbit",
        "sheep",
        "snail",
        "snake",
        "turtle",
    ],
    "musical instruments": [
        "accordion",
        "banjo",
        "cello",
        "clarinet",
        "drum",
        "flute",
        "guitar",
        "harp",
        "oboe",
        "piano",
        "saxophone",
        "trombone",
        "trumpet",
        "tuba",
        "violin",
    ],
    "furniture": [
        "bed",
        "bench",
        "bookshelf",
        "car",
        "chair",
        "couch",
        "desk",
        "fridge",
        "lamp",
        "microwave",
        "oven",
        "sofa",
        "stool",
        "stove",
        "table",
        "toaster",
        "wardrobe",
    ],
}


def plural(thing: str) -> str:
    """Return the plural of a thing."""
    if thing in _IRREGULAR:
        return _IRREGULAR[thing]
    if thing.endswith("y") and thing[-2] not in "aeiou":
        return thing[:-1] + "ies"
    return thing + ("es" if thing.endswith(("ch", "sh", "x", "s")) else "s")


def _article(word: str) -> str:
    return "an" if word[0] in "aeiou" else "a"


KIND_BY_WORD = {
    word: kind
    for kind, things in THINGS_BY_KIND.items()
    for thing in things
    for word in (thing, plural(thing))
}


@dataclass(frozen=True)
class Inventory:
    """Things with their numbers, in the order of the text, and the kind to count."""

    things: tuple[tuple[str, int], ...]
    asked: str
    question_first: bool = False

    @property
    def answer(self) -> str:
        """Return the number of things of that kind."""
        return str(sum(number for word, number in self.things if self._counts(word)))

    @property
    def size(self) -> int:
        """Return the number of entries in the list."""
        return len(self.things)

    def question(self) -> str:
        """Return the question as text."""
        listed = [
            f"{_article(word) if number == 1 else NUMBERS[number]} {word}"
            for word, number in self.things
        ]
        have = f"I have {', '.join(listed[:-1])}{',' if len(listed) > 1 else ''} and {listed[-1]}."
        ask = f"How many {self.asked} do I have?"
        return f"{ask}\n{have}" if self.question_first else f"{have} {ask}"

    def work(self, kinds: Sequence[str]) -> dict[str, str]:
        """Return the block of each of these kinds."""
        counted = [self._counts(word) or "kind" not in kinds for word, _ in self.things]
        totals = list(
            accumulate(
                number * counts for (_, number), counts in zip(self.things, counted, strict=True)
            )
        )
        blocks = {
            "items": SEPARATOR.join(f"{word} {number}" for word, number in self.things),
            "kind": SEPARATOR.join(
                f"{word} {KIND_BY_WORD.get(word, 'other')} = {self.asked} "
                f"{'yes' if self._counts(word) else 'no'}"
                for word, _ in self.things
            ),
            "running_total": SEPARATOR.join(
                f"{word} {total}" for (word, _), total in zip(self.things, totals, strict=True)
            ),
            "report": f"the total is {totals[-1]}"
            if "running_total" in kinds
            else "no total is known",
        }
        return {kind: blocks[kind] for kind in kinds}

    def conclude(self, kinds: Sequence[str]) -> str | None:
        """Return the answer that follows from blocks of these kinds."""
        return (
            self.work(kinds)["running_total"].rsplit(" ", 1)[1]
            if "running_total" in kinds
            else None
        )

    def _counts(self, word: str) -> bool:
        return self.asked in (EVERYTHING, KIND_BY_WORD.get(word))


def generate(rng: Random, mixed_share: float = 0.3) -> Inventory:
    """Generate an item of 2 to 12 things, singular more often than not.

    Things of another kind are among them in `mixed_share` of the questions; in BIG-Bench Hard they
    are in 23% of the questions about one kind.
    """
    asked = rng.choice(
        ["fruits", "vegetables", "animals", "musical instruments", EVERYTHING, EVERYTHING]
    )
    size = rng.randint(2, 12)
    own = list(KINDS_BY_QUESTION[asked])
    strangers = [kind for kind in THINGS_BY_KIND if kind != asked]
    mixed = size > 2 and rng.random() < mixed_share
    n_strange = rng.randint(1, max(1, size // 2)) if mixed else 0
    words = rng.sample([thing for kind in own for thing in THINGS_BY_KIND[kind]], size - n_strange)
    words += rng.sample(THINGS_BY_KIND[rng.choice(strangers)], n_strange)
    rng.shuffle(words)
    often = rng.choice([0.1, 0.4, 0.7])
    things = tuple(
        (plural(word), rng.choice((2, 2, 3, 3, 4, 5))) if rng.random() < often else (word, 1)
        for word in dict.fromkeys(words)
    )
    return Inventory(things, asked, question_first=rng.random() < 0.25)


KINDS_BY_QUESTION = {
    **{kind: (kind,) for kind in THINGS_BY_KIND},
    EVERYTHING: tuple(THINGS_BY_KIND),
}
_NUMBER_BY_WORD = {"a": 1, "an": 1, **{word: number for number, word in enumerate(NUMBERS)}}
_HAVE = re.compile(r"I have (.+?)\.(?:\s|$)", re.DOTALL)
_ASK = re.compile(r"How many (.+?) do I have\?")
_FEW = re.compile(r"[0-9]{1,6}")


def read(text: str) -> Inventory | None:
    """Return the item behind a question's text, or None for another text."""
    have, ask = _HAVE.search(text), _ASK.search(text)
    if not have or not ask:
        return None
    things = []
    for listed in re.split(r",? and |, ", have[1]):
        number, _, word = listed.partition(" ")
        if not word:
            return None
        things.append(
            (word, _NUMBER_BY_WORD.get(number) or (int(number) if _FEW.fullmatch(number) else 1))
        )
    return Inventory(tuple(things), ask[1], question_first=ask.start() < have.start())


OBJECT_COUNTING = GeneratedTask(
    name="object_counting",
    description="Count how many things of the kind that the question asks about are in a list.",
    kinds=("items", "kind", "running_total", "report"),
    answers=(),
    generate=generate,
    read=read,
    scorer="number",
)
