"""The agent's budget: costly work comes at intervals of cost / share, cheap work at every tick."""

from blackbox.agent.budget import Budget

SHARE, TICK = 0.01, 0.5


def test_work_within_a_ticks_share_is_always_affordable() -> None:
    budget = Budget(SHARE, TICK, now=0.0)
    for tick in range(1, 100):
        assert budget.affords(0.004, tick * TICK)
        budget.spend(0.004)


def test_work_above_it_waits_until_time_has_paid_for_it() -> None:
    budget = Budget(SHARE, TICK, now=0.0)
    assert budget.affords(0.0, 0.0)
    budget.spend(0.04)
    assert not budget.affords(0.04, 3.9)
    assert budget.affords(0.04, 4.1)


def test_idle_time_is_not_saved_up() -> None:
    budget = Budget(SHARE, TICK, now=0.0)
    assert budget.affords(0.04, 1_000_000.0)
    budget.spend(0.04)
    assert not budget.affords(0.04, 1_000_001.0)


def test_a_long_run_of_costly_work_keeps_to_the_share() -> None:
    budget, now = Budget(SHARE, TICK, now=0.0), 0.0
    while now < 1000:
        if budget.affords(0.05, now):
            budget.spend(0.05)
        now += TICK
    assert 0.8 * SHARE < budget.spent_seconds / now <= SHARE * 1.01


def test_a_clock_that_steps_back_pays_for_nothing() -> None:
    budget = Budget(SHARE, TICK, now=100.0)
    budget.spend(1.0)
    assert not budget.affords(0.5, 0.0)
    assert budget.interval(0.02) == 2.0
