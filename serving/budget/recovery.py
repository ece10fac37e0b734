"""Settlement of calls whose sender has died, by what the ledger has of them.

Knows no file and no Ray.
"""

from collections.abc import Mapping

from optimizer.budget.cost import Cost, PriceList, Role
from optimizer.budget.paying import Paying
from serving.ledger.coordinator import LedgerClient


async def recover(
    shared_budget: Paying,
    most_by_key: Mapping[bytes, Cost],
    ledger: LedgerClient,
    price_list_by_role: Mapping[Role, PriceList],
) -> None:
    """Settle calls that were sent.

    One whose answer is in the ledger costs what that answer cost; any other costs the most that it
    can, as nobody knows whether it was charged. It may be done twice.
    """
    answers = await ledger.answers(list(most_by_key))
    paid: dict[bytes, Cost] = {}
    for (key, most), answer in zip(most_by_key.items(), answers, strict=True):
        if answer is not None:
            paid[key] = price_list_by_role[_role(most)].recalled(answer, most)
    # In two parts: only answered calls count as tested.
    shared_budget.settle(paid, answered=True)
    shared_budget.settle(
        {key: most for key, most in most_by_key.items() if key not in paid}, answered=False
    )


def _role(most: Cost) -> Role:
    if most.grader_calls:
        return "grader"
    return "target" if most.target_calls else "optimizer"
