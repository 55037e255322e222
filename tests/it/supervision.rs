//! What a supervisor takes for a crash, and what not.

use std::os::unix::process::CommandExt;

use rustix::process::Signal;

use crate::support::{Process, World, children_of, eventually, kill, program, run};

fn pids(up: &Process) -> Vec<u32> {
    children_of(up.pid()).into_iter().map(|(pid, _)| pid).collect()
}

/// The process of the worker with this name, once there is one.
#[track_caller]
fn worker_of(up: &Process, name: &str) -> u32 {
    let mut worker = None;
    eventually("the worker runs", || {
        let workers = children_of(up.pid());
        worker = workers.into_iter().find(|(_, command)| command.contains(name));
        worker.is_some()
    });
    worker.unwrap().0
}

#[test]
fn workers_that_are_stopped_or_killed_from_outside_are_replaced_however_often() {
    let world = World::new();
    let mut up = Process::start_ready(world.fleet(["up", "-w", "1", "-a", "1"]));
    for signal in [Signal::TERM, Signal::KILL].repeat(6) {
        let worker = worker_of(&up, "activity-worker:0");
        kill(worker, signal);
        eventually("the worker has ended", || pids(&up).iter().all(|pid| *pid != worker));
    }
    assert_eq!(run(world.fleet(["starter", "-n", "2"])).success().len(), 2);
    let err = up.err.so_far();
    let stopped = "worker stopped from outside: activity-worker:0 (exit code: 0): it is replaced";
    assert!(err.iter().any(|line| line == stopped), "{err:#?}");
    let crashes = err.iter().filter(|line| line.contains("exited unexpectedly"));
    // A SIGTERM that comes before the worker handles it is a kill.
    let killed = |line: &&String| ["(signal: 9)", "(signal: 15)"].iter().any(|s| line.ends_with(s));
    assert_eq!(crashes.clone().filter(killed).count(), crashes.count(), "{err:#?}");
    up.signal(Signal::TERM);
    assert_eq!(up.exit_code(), 0);
}

#[test]
fn what_an_activity_has_started_ends_with_its_worker() {
    let world = World::new();
    let mut up = Process::start_ready(world.fleet(["up", "-w", "1", "-a", "1"]));
    // In the worker's process group, as a process is that an activity starts.
    let in_the_group_of = |worker: u32| {
        let mut sleep = program("sleep");
        sleep.arg("600").process_group(i32::try_from(worker).unwrap());
        sleep.spawn().unwrap()
    };
    let worker = worker_of(&up, "activity-worker:0");
    let mut of_a_killed_worker = in_the_group_of(worker);
    kill(worker, Signal::KILL);
    eventually("it ends too", || of_a_killed_worker.try_wait().unwrap().is_some());

    eventually("the worker is replaced", || pids(&up).len() == 2 && !pids(&up).contains(&worker));
    let mut of_a_drained_worker = in_the_group_of(worker_of(&up, "activity-worker:0"));
    up.signal(Signal::TERM);
    assert_eq!(up.exit_code(), 0);
    eventually("it ends too", || of_a_drained_worker.try_wait().unwrap().is_some());
}

#[cfg(target_os = "linux")]
#[test]
fn a_worker_that_cannot_be_replaced_for_a_moment_is_tried_again() {
    use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};

    let world = World::new();
    let mut up = Process::start_ready(world.fleet(["up", "-w", "1", "-a", "1"]));
    let pid = Pid::from_raw(i32::try_from(up.pid()).unwrap());
    let limit_files = |current: Option<u64>| {
        let maximum = getrlimit(Resource::Nofile).maximum;
        prlimit(pid, Resource::Nofile, Rlimit { current, maximum }).unwrap();
    };
    // Fewer than the supervisor has open.
    limit_files(Some(4));
    kill(worker_of(&up, "activity-worker:0"), Signal::KILL);
    let line = up.err.wait_for("ERROR: activity-worker:0 is not replaced yet: ");
    assert!(line.contains("Too many open files (os error 24): trying again in "), "{line}");
    limit_files(getrlimit(Resource::Nofile).current);
    worker_of(&up, "activity-worker:0");
    assert_eq!(run(world.fleet(["starter", "-n", "2"])).success().len(), 2);
    up.signal(Signal::TERM);
    assert_eq!(up.exit_code(), 0);
}
