"""Time over several runs, some of which were killed."""

from hypothesis import given
from hypothesis import strategies as st

from serving.budget.stopwatch import Stopwatch

NAMES = st.sampled_from(["", "a", "b"])
STEPS = st.lists(
    st.tuples(st.sampled_from(["start", "stop", "record"]), NAMES, st.floats(0, 5)), max_size=40
)
AHEAD_S = 5.0


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@given(STEPS)
def test_a_record_is_never_less_than_what_has_passed_until_the_next(
    steps: list[tuple[str, str, float]],
) -> None:
    """Records come no further apart than they reach ahead: so a run that is killed between two
    loses nothing.
    """
    clock = Clock()
    watch = Stopwatch(clock=clock)
    state: dict[str, float] = {}
    for kind, name, later in steps:
        if kind == "start":
            watch.start(name)
        if kind == "stop":
            watch.stop(name)
        state = watch.state(AHEAD_S)
        clock.now += later
        for known in ("", "a", "b"):
            assert Stopwatch(state).seconds(known) >= watch.seconds(known) - 1e-3


def test_time_is_counted_while_it_runs_and_goes_on_from_the_record() -> None:
    clock = Clock()
    watch = Stopwatch({"a": 7.0}, clock)
    watch.start("a")
    clock.now += 3
    watch.start("a")  # it runs already
    clock.now += 1
    assert watch.seconds("a") == 11.0
    watch.stop("a")
    clock.now += 50
    watch.stop("b")
    assert (watch.seconds("a"), watch.seconds("b"), watch.running) == (11.0, 0.0, ())
    assert watch.state(AHEAD_S) == {"a": 11.0}
