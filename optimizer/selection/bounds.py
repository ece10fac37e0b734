"""The loop of the rules that follow upper bounds: measure next the arms that may yet be the best.

ProTeGi (arXiv 2305.03495, `evaluators.py` in microsoft/LMOps `prompt_optimization`) pulls the 8
arms of the highest bounds at a time, each on the same 32 newly drawn examples. So do we, in one
batch, but each arm goes on along the common order of items: nothing is measured twice, and arms
that have run equally far have met the same items [ours]. Not adopted: an exploration that is 0 in
its first round, and arms that count as 0 until they are seen. Here every arm runs one block before
any bound is formed. Knows no bound's formula.
"""

from collections.abc import Callable

from optimizer.selection.scoreboard import Scoreboard

Bound = Callable[[float, int, int], float]
"""(an arm's mean, the number of items it was measured on, the number of all arms together) -> upper
bound of its mean.
"""


async def follow_bounds(
    board: Scoreboard, bound: Bound, batch_arms: int, block_items: int
) -> list[int]:
    """Return the arms, best mean first, once the budget is spent or everything is measured."""
    await board.run_together(board.arms, block_items)
    while board.left and (
        unfinished := [arm for arm in board.arms if board.done(arm) < board.items]
    ):
        pulls = sum(map(board.done, board.arms))
        bound_by_arm = {
            arm: bound(board.mean_or_middling(arm), board.done(arm), pulls) for arm in unfinished
        }
        highest = sorted(unfinished, key=lambda arm: (-bound_by_arm[arm], arm))[:batch_arms]
        await board.run({arm: board.done(arm) + block_items for arm in highest})
    return board.ranked(board.arms)
