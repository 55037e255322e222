//! The rule, case by case.

use std::time::Duration;

use proptest::prelude::*;

use crate::scaling::{Bounds, Decision, Limit, Memory, Reason, Scaler, Signals, Slots};

const MEGABYTE: u64 = 1_000_000;

fn seconds(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}

fn scaler(min: usize, max: usize, target: usize) -> Scaler {
    Scaler::new(Bounds::new(min, max).unwrap(), target)
}

/// Workers with four slots each, for which tasks have waited for `wait` seconds.
fn signals(ready: usize, used: u32, wait: f64) -> Signals {
    let total = u32::try_from(ready).unwrap() * 4;
    let slots = Some(Slots { used, total });
    Signals { ready, backlog: Some(seconds(wait)), slots, ..Signals::default() }
}

/// The last decision about signals that stay the same from one second to another.
fn decide(scaler: &mut Scaler, from: u64, to: u64, signals: &Signals) -> Decision {
    (from..=to).map(|at| scaler.decide(Duration::from_secs(at), signals)).last().unwrap()
}

/// The changes while signals stay the same.
fn changes(scaler: &mut Scaler, from: u64, to: u64, signals: &Signals) -> Vec<String> {
    (from..=to)
        .map(|at| (at, scaler.decide(Duration::from_secs(at), signals)))
        .filter(|(_, decision)| decision.is_change())
        .map(|(at, decision)| format!("{at} s: {decision}"))
        .collect()
}

#[test]
fn a_decision_is_a_line_with_its_reason() {
    let line = |from, target, reason| Decision { from, target, reason }.to_string();
    let wait = seconds(3.21);
    assert_eq!(line(2, 4, Reason::Waiting { wait }), "backlog waits 3.2 s: 2 → 4");
    assert_eq!(line(4, 5, Reason::Full { usage: 0.951 }), "workers are 95 % busy: 4 → 5");
    let limited = Reason::Limited { by: Limit::Max };
    assert_eq!(line(8, 8, limited), "more workers would help, but max is reached: 8");
    assert_eq!(limited.name(), "limited_by_max");
}

#[test]
fn bounds_hold_at_least_one_number_above_zero() {
    assert_eq!(Bounds::new(0, 0), None);
    assert_eq!(Bounds::new(3, 2), None);
    assert!(Bounds::new(0, 1).is_some() && Bounds::new(2, 2).is_some());
}

#[test]
fn a_group_of_none_wakes_when_a_task_waits_and_sleeps_when_none_runs() {
    let mut scaler = scaler(0, 4, 0);
    assert_eq!(decide(&mut scaler, 0, 5, &signals(0, 0, 0.0)).target, 0);
    let woken = decide(&mut scaler, 6, 6, &signals(0, 0, 0.1));
    assert_eq!(woken.to_string(), "backlog waits 0.1 s and no worker runs: 0 → 1");
    assert_eq!(changes(&mut scaler, 7, 90, &signals(1, 1, 0.0)), [""; 0]);
    let asleep = changes(&mut scaler, 91, 170, &signals(1, 0, 0.0));
    assert_eq!(asleep, ["151 s: 0 would have been enough for a while: 1 → 0"]);
}

#[test]
fn full_workers_get_one_more_before_a_task_waits() {
    let mut scaler = scaler(1, 8, 3);
    let grown = changes(&mut scaler, 0, 20, &signals(3, 12, 0.0));
    assert_eq!(grown, ["3 s: workers are 100 % busy: 3 → 4"]);
}

#[test]
fn a_group_of_which_nothing_is_known_stays_as_it_is() {
    let unknown = Signals { ready: 2, ..Signals::default() };
    let mut scaler = scaler(1, 8, 2);
    let decision = decide(&mut scaler, 0, 300, &unknown);
    assert_eq!(decision.to_string(), "nothing is known of the load: 2");
    // Full slots say nothing while the server is away, and neither do empty ones.
    for used in [8, 0] {
        let away = Signals { backlog: None, ..signals(2, used, 0.0) };
        assert_eq!(changes(&mut scaler, 301, 600, &away), [""; 0]);
    }
}

#[test]
fn a_server_that_was_away_begins_the_quiet_time_again() {
    let mut scaler = scaler(1, 8, 2);
    decide(&mut scaler, 0, 50, &signals(2, 0, 0.0));
    decide(&mut scaler, 51, 70, &Signals { backlog: None, ..signals(2, 0, 0.0) });
    let shrunk = changes(&mut scaler, 71, 140, &signals(2, 0, 0.0));
    assert_eq!(shrunk, ["131 s: 0 would have been enough for a while: 2 → 1"]);
}

#[test]
fn tasks_that_wait_beside_room_add_a_worker_now_and_then() {
    let mut scaler = scaler(1, 8, 2);
    let grown = changes(&mut scaler, 0, 19, &signals(2, 1, 2.0));
    assert_eq!(grown, ["10 s: backlog waits 2.0 s although workers have room: 2 → 3"]);
}

#[test]
fn a_backlog_that_is_reported_late_adds_no_worker() {
    let mut scaler = scaler(1, 8, 2);
    // It was worked off at once, and the server says so five seconds later.
    assert_eq!(changes(&mut scaler, 0, 5, &signals(2, 1, 2.0)), [""; 0]);
    assert_eq!(changes(&mut scaler, 6, 30, &signals(2, 1, 0.0)), [""; 0]);
}

#[test]
fn workers_that_caught_up_just_now_are_not_too_few() {
    let mut scaler = scaler(1, 8, 2);
    for at in 0..10_u32 {
        let falling = signals(2, 8, 5.0 - f64::from(at) / 2.0);
        let decision = scaler.decide(Duration::from_secs(at.into()), &falling);
        assert!(!decision.is_change(), "{at} s: {decision}");
    }
    assert_eq!(decide(&mut scaler, 10, 11, &signals(2, 8, 0.0)).target, 2, "full for two seconds");
}

#[test]
fn an_old_backlog_asks_for_more_than_the_load() {
    // It neither grows nor shrinks: one worker more would carry the load, and would take long to catch up.
    for (wait, grown) in [(4.0, 3), (60.0, 6)] {
        let mut scaler = scaler(1, 8, 2);
        assert_eq!(decide(&mut scaler, 0, 8, &signals(2, 8, wait)).target, grown, "{wait}");
    }
}

#[test]
fn a_pinned_group_stays_until_somebody_lets_go() {
    let mut scaler = scaler(1, 8, 2);
    scaler.pin(Some(5));
    assert_eq!(decide(&mut scaler, 0, 0, &signals(2, 0, 0.0)).to_string(), "pinned: 2 → 5");
    assert_eq!(changes(&mut scaler, 1, 200, &signals(5, 0, 0.0)), [""; 0]);
    scaler.pin(Some(99));
    assert_eq!(decide(&mut scaler, 201, 201, &signals(5, 0, 0.0)).target, 8);
    scaler.pin(None);
    let shrunk = changes(&mut scaler, 202, 300, &signals(8, 0, 0.0));
    assert_eq!(shrunk.len(), 2, "after a quiet time, and half at once: {shrunk:?}");
}

#[test]
fn memory_limits_growth_and_ends_workers_but_not_the_last() {
    let memory = |available| {
        let total = 1000 * MEGABYTE;
        Some(Memory { total, available: available * MEGABYTE, per_worker: 50 * MEGABYTE })
    };
    let full = |available| Signals { memory: memory(available), ..signals(2, 8, 60.0) };
    let mut scaler = scaler(1, 8, 2);
    assert_eq!(decide(&mut scaler, 0, 8, &full(160)).target, 3, "100 MB are the reserve");
    let limited = decide(&mut scaler, 9, 9, &Signals { ready: 3, ..full(60) });
    assert!(!limited.is_change());
    let shrunk =
        changes(&mut scaler, 10, 90, &Signals { memory: memory(40), ..signals(3, 3, 0.0) });
    assert_eq!(shrunk, ["10 s: memory is short: 3 → 2", "30 s: memory is short: 2 → 1"]);
}

#[test]
fn busy_cores_stop_growth() {
    let full = |cpu, cores| Signals { cpu: Some(cpu), cores: Some(cores), ..signals(2, 8, 2.0) };
    // Both cores are in use, though by more programs than the group.
    let limited = decide(&mut scaler(1, 8, 2), 0, 8, &full(0.7, 1.4));
    assert_eq!(limited.to_string(), "more workers would help, but all cores are busy: 2");
    assert_eq!(decide(&mut scaler(1, 8, 2), 0, 8, &full(0.9, 4.0)).target, 3);
    // Tasks that only wait need no core.
    assert_eq!(decide(&mut scaler(1, 8, 2), 0, 8, &full(0.05, 0.1)).target, 3);
}

#[test]
fn a_regretted_shrink_makes_the_next_one_slower() {
    let mut scaler = scaler(1, 8, 4);
    let low = |ready| signals(ready, 7, 0.0);
    assert_eq!(changes(&mut scaler, 0, 60, &low(4)).len(), 1, "3 are enough for 7 slots");
    assert_eq!(decide(&mut scaler, 61, 65, &signals(3, 12, 0.0)).target, 4);
    assert_eq!(changes(&mut scaler, 66, 180, &low(4)), [""; 0]);
    assert_eq!(changes(&mut scaler, 181, 190, &low(4)).len(), 1, "after two minutes");
}

fn any_signals() -> impl Strategy<Value = Signals> {
    let wait = || proptest::option::of((0_u64..100_000).prop_map(Duration::from_millis));
    let slots = proptest::option::of((0_u32..100, 0_u32..100));
    let figure = || proptest::option::of(prop_oneof![4 => 0.0..10.0, 1 => any::<f64>()]);
    let memory = proptest::option::of((any::<u64>(), any::<u64>(), any::<u64>()));
    (0_usize..20, wait(), wait(), slots, figure(), figure(), memory).prop_map(
        |(ready, backlog, latency, slots, cpu, cores, memory)| Signals {
            ready,
            backlog,
            latency,
            slots: slots.map(|(used, total)| Slots { used, total }),
            cpu,
            cores,
            memory: memory.map(|(total, available, per_worker)| Memory {
                total,
                available,
                per_worker,
            }),
        },
    )
}

proptest! {
    #[test]
    fn no_signals_lead_out_of_bounds(
        min in 0_usize..5, more in 1_usize..10, start: usize,
        samples in proptest::collection::vec((0_u64..100_000, any_signals()), 1..100),
    ) {
        let mut scaler = scaler(min, min + more, start);
        let (mut now, mut before) = (Duration::ZERO, None);
        for (later, signals) in samples {
            now += Duration::from_millis(later);
            let Decision { from, target, .. } = scaler.decide(now, &signals);
            prop_assert!((min..=min + more).contains(&target));
            prop_assert!(before.is_none_or(|before| before == from));
            before = Some(target);
            let allowed = signals.allowed_by_memory();
            prop_assert!(target <= from || from == 0 || allowed.is_none_or(|most| target <= most));
        }
    }
}
