//! What holds for loads, each with a hundred seeds.

use std::{
    f64::consts::PI,
    fmt::{Display, Write},
};

use super::simulation::{Load, Second, Task, World};
use crate::scaling::Bounds;

/// When the step's load ends.
const STEP_ENDS: usize = 60;

/// What people see of a run.
#[derive(Clone, Copy, Debug)]
struct Account {
    /// The second in which there were workers enough to carry the load.
    reached: usize,
    /// The most workers.
    most: usize,
    /// How often the number of workers went down after it had gone up, or up after it had gone down.
    turns: usize,
    /// The last second in which a task had waited for more than a second.
    waited_until: usize,
    /// The longest wait, in seconds.
    longest: f64,
    /// The mean of the ready workers.
    mean: f64,
    /// The second from which there were no more than the fewest workers.
    at_min: usize,
}

impl Account {
    /// Accounts for a run in which `enough` workers carry the load.
    fn of(run: &[Second], enough: usize, min: usize) -> Self {
        let last = |is: &dyn Fn(&Second) -> bool| run.iter().rposition(is).map_or(0, |at| at + 2);
        let reached = run.iter().position(|second| second.ready >= enough);
        let changes: Vec<_> = run
            .iter()
            .filter(|second| second.decision.is_change())
            .map(|second| second.decision.target > second.decision.from)
            .collect();
        let most = run.iter().map(|second| second.decision.target).max().unwrap();
        let longest = run.iter().map(|second| second.oldest).max().unwrap();
        Self {
            reached: reached.map_or(usize::MAX, |at| at + 1),
            most,
            turns: changes.windows(2).filter(|pair| pair[0] != pair[1]).count(),
            waited_until: last(&|second| second.oldest.as_secs() >= 1),
            longest: longest.as_secs_f64(),
            mean: run.iter().map(|second| second.ready as f64).sum::<f64>() / run.len() as f64,
            at_min: last(&|second| second.decision.target > min),
        }
    }
}

/// A name, and what an account has of it.
type Figure = (&'static str, fn(&Account) -> f64);

/// What happened with each of a hundred seeds.
fn accounts(world: &World, enough: usize) -> Vec<Account> {
    let min = world.fewest();
    (0..100)
        .map(|seed| {
            let run = world.run(seed);
            assert!(run.iter().all(|second| world.is_allowed(second.decision.target)), "{seed}");
            Account::of(&run, enough, min)
        })
        .collect()
}

/// Prints a row of the table in `docs/capacity.md`: median and largest value of some figures.
fn print(name: &str, accounts: &[Account], figures: &[Figure]) {
    let mut row = name.to_owned();
    for (figure, of) in figures {
        let mut values: Vec<_> = accounts.iter().map(of).collect();
        values.sort_by(f64::total_cmp);
        let (median, most) = (values[values.len() / 2], values[values.len() - 1]);
        write!(row, " | {figure} {median:.1}, {most:.1}").unwrap();
    }
    println!("{row}");
}

fn all(accounts: &[Account], what: impl Display, holds: impl Fn(&Account) -> bool) {
    for (seed, account) in accounts.iter().enumerate() {
        assert!(holds(account), "{what}, seed {seed}: {account:?}");
    }
}

const REACHED: Figure = ("reached", |account| account.reached as f64);
const MOST: Figure = ("most", |account| account.most as f64);
const TURNS: Figure = ("turns", |account| account.turns as f64);
const LONGEST: Figure = ("longest wait", |account| account.longest);
const WAITED: Figure = ("waited until", |account| account.waited_until as f64);
const AT_MIN: Figure = ("at min", |account| account.at_min as f64);
const MEAN: Figure = ("mean", |account| account.mean);

/// One and a half times the ideal, in whole workers.
fn overshoot(ideal: usize) -> usize {
    ideal + ideal.div_ceil(2)
}

#[test]
fn a_step_is_carried_within_15_seconds_and_gone_3_minutes_after_it() {
    // 20 tasks of a second need 20 slots: 6 workers with 4, or 5 with 5, are less than 90 % busy.
    for (slots, enough, ideal) in [(4, 6, 7), (5, 5, 5)] {
        let world = World {
            load: |at| if at < STEP_ENDS as f64 { 20.0 } else { 0.0 },
            seconds: 260,
            bounds: Bounds::new(1, 8).unwrap(),
            slots,
            ..World::new()
        };
        let accounts = accounts(&world, enough);
        print(&format!("step, {slots} slots"), &accounts, &[REACHED, MOST, WAITED, TURNS, AT_MIN]);
        all(&accounts, "is reached late", |account| account.reached <= 15);
        let most = overshoot(ideal).min(8);
        all(&accounts, "overshoots, or turns", |account| {
            account.most <= most && account.turns == 1
        });
        all(&accounts, "tasks wait for long", |account| account.waited_until <= 30);
        all(&accounts, "stays up", |account| account.at_min <= STEP_ENDS + 180);
    }
}

#[test]
fn a_constant_load_makes_no_turn_in_10_minutes() {
    let accounts = accounts(&World::new(), 6);
    print("constant", &accounts, &[REACHED, MOST, TURNS, MEAN]);
    all(&accounts, "flaps", |account| account.turns == 0);
    all(&accounts, "overshoots", |account| account.most <= overshoot(7));
}

#[test]
fn small_and_even_loads_make_no_turn_either() {
    let loads: [(Load, f64); 4] =
        [(|_| 1.0, 1.0), (|_| 4.0, 4.0), (|_| 8.0, 8.0), (|_| 10.0, 10.0)];
    for (load, peak) in loads {
        for is_even in [false, true] {
            let world = World { load, peak, is_even, seconds: 200, ..World::new() };
            let ideal = world.ideal(peak);
            let accounts = accounts(&world, ideal);
            all(&accounts, format!("{peak}/s flaps"), |account| account.turns == 0);
            let most = overshoot(ideal);
            all(&accounts, format!("{peak}/s overshoots"), |account| account.most <= most);
        }
    }
}

#[test]
fn a_ramp_is_followed_up_and_down() {
    let world = World {
        load: |at| (20.0 - (at - 120.0).abs() / 6.0).max(0.0),
        seconds: 400,
        ..World::new()
    };
    let accounts = accounts(&world, 6);
    print("ramp", &accounts, &[MOST, LONGEST, TURNS, AT_MIN]);
    all(&accounts, "overshoots", |account| account.most <= overshoot(7));
    all(&accounts, "tasks wait for long", |account| account.longest <= 3.0);
    all(&accounts, "flaps", |account| account.turns == 1);
    all(&accounts, "stays up", |account| account.at_min <= 240 + 120);
}

#[test]
fn a_burst_is_worked_off_and_leaves_nothing() {
    // 200 tasks of a second within two seconds: 50 s of work for the smallest group.
    let world = World {
        load: |at| if (10.0..12.0).contains(&at) { 100.0 } else { 0.0 },
        peak: 100.0,
        seconds: 240,
        ..World::new()
    };
    let accounts = accounts(&world, 1);
    print("burst", &accounts, &[MOST, WAITED, TURNS, AT_MIN]);
    all(&accounts, "tasks wait for long", |account| account.waited_until <= 12 + 20);
    all(&accounts, "flaps", |account| account.turns == 1);
    all(&accounts, "stays up", |account| account.at_min <= 12 + 180);
}

#[test]
fn a_day_has_one_rise_and_one_fall() {
    // A day of 20 minutes: from 2 to 18 tasks a second and back.
    let world = World {
        load: |at| 10.0 - 8.0 * (at / 600.0 * PI).cos(),
        peak: 18.0,
        seconds: 1200,
        ..World::new()
    };
    let accounts = accounts(&world, 6);
    print("day", &accounts, &[MOST, LONGEST, TURNS, MEAN]);
    all(&accounts, "flaps", |account| account.turns <= 1);
    all(&accounts, "overshoots", |account| account.most <= overshoot(world.ideal(18.0)));
    all(&accounts, "tasks wait for long", |account| account.longest <= 3.0);
    // The load alone is 10 / 4 / 0.8 = 3.1 workers.
    all(&accounts, "is too large", |account| account.mean <= 6.0);
}

#[test]
fn figures_of_the_server_alone_are_enough_though_they_lag() {
    let world = World {
        load: |at| if at < 120.0 { 20.0 } else { 0.0 },
        is_latency_known: false,
        seconds: 320,
        ..World::new()
    };
    let accounts = accounts(&world, 6);
    print("lag alone", &accounts, &[REACHED, MOST, WAITED, TURNS, AT_MIN]);
    all(&accounts, "is reached late", |account| account.reached <= 35);
    all(&accounts, "overshoots", |account| account.most <= 2 * 7);
    all(&accounts, "flaps", |account| account.turns == 1);
    all(&accounts, "stays up", |account| account.at_min <= 120 + 180);
}

#[test]
fn figures_that_are_wrong_or_missing_change_little() {
    let world = World { noise: 0.1, missing: 0.1, seconds: 300, ..World::new() };
    let accounts = accounts(&world, 6);
    print("noise", &accounts, &[REACHED, MOST, WAITED, TURNS]);
    all(&accounts, "is reached late", |account| account.reached <= 20);
    all(&accounts, "overshoots", |account| account.most <= 2 * 7);
    all(&accounts, "flaps", |account| account.turns <= 1);
}

#[test]
fn code_that_computes_gets_no_more_workers_than_cores() {
    // 3 cores' worth of tasks, and 5.
    for (load, peak, enough) in
        [(|_| 30.0, 30.0, 4), (|_| 50.0, 50.0, 4)] as [(Load, f64, usize); 2]
    {
        let task = Task::Computes { seconds: 0.1, cores: 4.0 };
        let world = World { load, peak, task, slots: 8, seconds: 120, ..World::new() };
        let accounts = accounts(&world, enough);
        print(&format!("{:.0} of 4 cores", peak * 0.1), &accounts, &[REACHED, MOST, WAITED, TURNS]);
        all(&accounts, "is reached late", |account| account.reached <= 20);
        all(&accounts, "more than cores, or flaps", |account| {
            account.most == 4 && account.turns == 0
        });
    }
}

#[test]
fn a_server_that_says_nothing_changes_nothing() {
    let world = World { is_latency_known: false, missing: 1.0, seconds: 60, ..World::new() };
    all(&accounts(&world, 6), "moves", |account| account.most == 1);
}
