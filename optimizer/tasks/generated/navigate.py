"""Navigate: do these moves lead back to the start?

There are two sorts, as in BIG-bench: always facing forward, and with turns.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from random import Random

from optimizer.tasks.generated.item import SEPARATOR, GeneratedTask

QUESTION = "If you follow these instructions, do you return to the starting point?"
OPTIONS = "\nOptions:\n- Yes\n- No"
COMPASS = ("north", "east", "south", "west")
TURNS = {"right": 1, "around": 2, "left": 3}
WAYS = {"forward": 0, "right": 1, "backward": 2, "left": 3}
STRIDE = ((0, 1), (1, 0), (0, -1), (-1, 0))
_SENTENCE = re.compile(
    r"Take ([0-9]{1,6}) steps?(?: (forward|backward|left|right))?\.|Turn (left|right|around)\."
)


@dataclass(frozen=True)
class Move:
    """A number of steps (sideways or backwards where `way` is set), or a turn."""

    steps: int = 0
    way: str = ""
    turn: str = ""

    def sentence(self) -> str:
        """Return the move as a sentence of the question."""
        if self.turn:
            return f"Turn {self.turn}."
        return (
            f"Take {self.steps} "
            f"step{'s' if self.steps > 1 else ''}{' ' + self.way if self.way else ''}."
        )

    def short(self) -> str:
        """Return the move in a few words."""
        return f"turn {self.turn}" if self.turn else f"{self.steps} {self.way}".strip()


@dataclass(frozen=True)
class Navigation:
    """The moves, the sort of item, and whether the question lists its options."""

    moves: tuple[Move, ...]
    forward: bool
    options: bool = True

    @property
    def answer(self) -> str:
        """Return "Yes" if the last position is the start."""
        return "Yes" if self._positions(self._facings())[-1] == (0, 0) else "No"

    @property
    def size(self) -> int:
        """Return the number of moves."""
        return len(self.moves)

    def question(self) -> str:
        """Return the question as text."""
        sentences = ["Always face forward."] * self.forward + [
            move.sentence() for move in self.moves
        ]
        return f"{QUESTION} {' '.join(sentences)}{OPTIONS if self.options else ''}"

    def work(self, kinds: Sequence[str]) -> dict[str, str]:
        """Return the block of each of these kinds."""
        facings = self._facings()
        known = facings if "facing" in kinds else [0] * len(self.moves)
        positions = [f"({x},{y})" for x, y in self._positions(known)]
        last, home = positions[-1], "is" if positions[-1] == "(0,0)" else "is not"
        facing = (
            "always north"
            if self.forward
            else SEPARATOR.join(
                f"{move.short()} {COMPASS[way]}"
                for move, way in zip(self.moves, facings, strict=True)
            )
        )
        shown = [
            "" if self.forward or "facing" not in kinds else f" {COMPASS[way]}" for way in facings
        ]
        blocks = {
            "moves": SEPARATOR.join(move.short() for move in self.moves),
            "facing": facing,
            "positions": SEPARATOR.join(
                f"{move.short()}{way} {at}"
                for move, way, at in zip(self.moves, shown, positions, strict=True)
            ),
            "compare": f"{last} {home} (0,0)" if "positions" in kinds else "no position is known",
        }
        return {kind: blocks[kind] for kind in kinds}

    def conclude(self, kinds: Sequence[str]) -> str | None:
        """Return the answer that follows from blocks of these kinds."""
        if "positions" not in kinds:
            return None
        known = self._facings() if "facing" in kinds else [0] * len(self.moves)
        return "Yes" if self._positions(known)[-1] == (0, 0) else "No"

    def _facings(self) -> list[int]:
        facings, now = [], 0
        for move in self.moves:
            now = (now + TURNS[move.turn]) % 4 if move.turn else now
            facings.append(now)
        return facings

    def _positions(self, facings: Sequence[int]) -> list[tuple[int, int]]:
        positions, x, y = [], 0, 0
        for move, facing in zip(self.moves, facings, strict=True):
            dx, dy = STRIDE[(facing + WAYS[move.way or "forward"]) % 4]
            x, y = x + dx * move.steps, y + dy * move.steps
            positions.append((x, y))
        return positions


def generate(rng: Random) -> Navigation:
    """Generate an item of 2 to 10 moves.

    About half of the items are of each sort, and half have each answer; near misses are among the
    "No".
    """
    forward = rng.random() < 0.5
    walk = _forward_walk(rng) if forward else _turning_walk(rng)
    item = Navigation(tuple(walk), forward, options=rng.random() < 0.7)
    # Walks are built to return, so most are disturbed: half of the answers become "No".
    return item if rng.random() < 0.2 else _disturbed(item, rng)


def _forward_walk(rng: Random) -> list[Move]:
    walk = [Move(rng.randint(1, 10), rng.choice(list(WAYS))) for _ in range(rng.randint(1, 5))]
    x, y = Navigation(tuple(walk), True)._positions([0] * len(walk))[-1]
    walk += _legs(-x, "right", "left", rng) + _legs(-y, "forward", "backward", rng)
    rng.shuffle(walk)
    return walk[:10]


def _legs(distance: int, ahead: str, back: str, rng: Random) -> list[Move]:
    way, left, legs = (ahead if distance > 0 else back), abs(distance), []
    while left:
        steps = (
            rng.randint(1, 10)
            if left > 10
            else left
            if rng.random() < 0.8
            else rng.randint(1, left)
        )
        legs.append(Move(min(steps, left), way))
        left -= legs[-1].steps
    return legs


def _turning_walk(rng: Random) -> list[Move]:
    turns = list(TURNS)
    walk: list[Move] = []
    for _ in range(rng.randint(1, 4)):
        walk.append(
            Move(turn=rng.choice(turns)) if rng.random() < 0.35 else Move(rng.randint(1, 10))
        )
    item = Navigation(tuple(walk), False)
    facing, (x, y) = item._facings()[-1], item._positions(item._facings())[-1]
    for axis, distance in sorted(enumerate((-y, -x)), key=lambda _: rng.random()):
        wanted = axis if distance > 0 else axis + 2
        if distance:
            walk += [
                Move(turn=turn)
                for turn, quarter in TURNS.items()
                if quarter == (wanted - facing) % 4
            ]
            walk += [
                replace(leg, way="") for leg in _legs(abs(distance), "forward", "backward", rng)
            ]
            facing = wanted % 4
    if rng.random() < 0.3:
        walk.append(Move(turn=rng.choice(turns)))
    return walk[:10]


def _disturbed(item: Navigation, rng: Random) -> Navigation:
    """Return the walk with one move changed, or reordered: often a "No" that looks like a "Yes"."""
    moves = list(item.moves)
    at = rng.randrange(len(moves))
    if rng.random() < 0.3:
        rng.shuffle(moves)
    elif moves[at].turn:
        moves[at] = Move(turn=rng.choice(list(TURNS)))
    else:
        moves[at] = replace(moves[at], steps=rng.randint(1, 10))
    return replace(item, moves=tuple(moves))


def read(text: str) -> Navigation | None:
    """Return the item behind a question's text, or None for another text."""
    moves = tuple(Move(int(steps or 0), way, turn) for steps, way, turn in _SENTENCE.findall(text))
    return Navigation(moves, "Always face forward." in text, OPTIONS in text) if moves else None


NAVIGATE = GeneratedTask(
    name="navigate",
    description="Given a series of navigation instructions, decide whether one ends up back at the "
    "starting point.",
    kinds=("moves", "facing", "positions", "compare"),
    answers=("Yes", "No"),
    generate=generate,
    read=read,
    scorer="choice",
)
