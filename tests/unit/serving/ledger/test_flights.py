"""Who pays for what, by a clock that is turned by hand, and through the loss of all that was known."""

import asyncio

from serving.ledger.single_flight import GRACE_S, LEASE_S, RENEWAL_S, SingleFlight

A, B = b"a" * 32, b"b" * 32


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def restarted(clock: Clock) -> SingleFlight:
    return SingleFlight(grace_s=GRACE_S, clock=clock)


def test_the_constants_leave_room_for_lost_renewals() -> None:
    assert 2 * RENEWAL_S < GRACE_S < LEASE_S


def test_a_claim_that_is_asked_for_again_is_still_its_owners() -> None:
    single_flight = SingleFlight()
    assert single_flight.claim(A, "one")
    assert single_flight.claim(A, "one")
    assert not single_flight.claim(A, "two")


def test_a_lease_runs_out_unless_it_is_renewed() -> None:
    clock = Clock()
    single_flight = SingleFlight(clock=clock)
    single_flight.claim(A, "one")
    single_flight.claim(B, "one")
    clock.now += LEASE_S - 1
    single_flight.renew([A], "one")
    clock.now += 2
    assert not single_flight.claim(A, "two")
    assert single_flight.claim(B, "two")
    single_flight.renew([A, B], "one")
    assert not single_flight.claim(B, "one"), "it is the other's by now"


def test_after_a_restart_nobody_is_given_what_an_owner_may_be_paying_for() -> None:
    clock = Clock()
    single_flight = restarted(clock)
    assert not single_flight.claim(A, "two")
    assert not single_flight.claim(B, "two")
    clock.now += GRACE_S - 1
    single_flight.renew([A], "one")
    clock.now += 2
    assert not single_flight.claim(A, "two"), "its owner has said that it pays"
    assert single_flight.claim(A, "one")
    assert single_flight.claim(B, "two"), "nobody has"
    assert single_flight.count == 2


def test_an_owner_that_reasserts_before_anybody_asks_is_known() -> None:
    clock = Clock()
    single_flight = restarted(clock)
    single_flight.renew([A], "one")
    assert single_flight.claim(A, "one")
    assert not single_flight.claim(A, "two")


async def test_waiters_wait_out_the_grace_and_wake_when_it_lands() -> None:
    clock = Clock()
    single_flight = restarted(clock)
    single_flight.claim(A, "two")
    waiting = asyncio.create_task(single_flight.wait([A]))
    await asyncio.sleep(0.01)
    assert not waiting.done()
    single_flight.renew([A], "one")
    single_flight.release([A], "two")
    await asyncio.sleep(0.01)
    assert not waiting.done()
    single_flight.release([A], "one")
    await asyncio.wait_for(waiting, 5)
