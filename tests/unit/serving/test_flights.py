"""Who pays for what, by a clock that is turned by hand, and through the loss of all that was known."""

import asyncio

from serving.ledger.single_flight import GRACE_S, LEASE_S, RENEWAL_S, Flights

A, B = b"a" * 32, b"b" * 32


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def restarted(clock: Clock) -> Flights:
    return Flights(grace_s=GRACE_S, clock=clock)


def test_the_constants_leave_room_for_lost_renewals() -> None:
    assert 2 * RENEWAL_S < GRACE_S < LEASE_S


def test_a_claim_that_is_asked_for_again_is_still_its_owners() -> None:
    flights = Flights()
    assert flights.claim(A, "one")
    assert flights.claim(A, "one")
    assert not flights.claim(A, "two")


def test_a_lease_runs_out_unless_it_is_renewed() -> None:
    clock = Clock()
    flights = Flights(clock=clock)
    flights.claim(A, "one")
    flights.claim(B, "one")
    clock.now += LEASE_S - 1
    flights.renew([A], "one")
    clock.now += 2
    assert not flights.claim(A, "two")
    assert flights.claim(B, "two")
    flights.renew([A, B], "one")
    assert not flights.claim(B, "one"), "it is the other's by now"


def test_after_a_restart_nobody_is_given_what_an_owner_may_be_paying_for() -> None:
    clock = Clock()
    flights = restarted(clock)
    assert not flights.claim(A, "two")
    assert not flights.claim(B, "two")
    clock.now += GRACE_S - 1
    flights.renew([A], "one")
    clock.now += 2
    assert not flights.claim(A, "two"), "its owner has said that it pays"
    assert flights.claim(A, "one")
    assert flights.claim(B, "two"), "nobody has"
    assert flights.count == 2


def test_an_owner_that_reasserts_before_anybody_asks_is_known() -> None:
    clock = Clock()
    flights = restarted(clock)
    flights.renew([A], "one")
    assert flights.claim(A, "one")
    assert not flights.claim(A, "two")


async def test_waiters_wait_out_the_grace_and_wake_when_it_lands() -> None:
    clock = Clock()
    flights = restarted(clock)
    flights.claim(A, "two")
    waiting = asyncio.create_task(flights.wait([A]))
    await asyncio.sleep(0.01)
    assert not waiting.done()
    flights.renew([A], "one")
    flights.release([A], "two")
    await asyncio.sleep(0.01)
    assert not waiting.done()
    flights.release([A], "one")
    await asyncio.wait_for(waiting, 5)
