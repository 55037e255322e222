//! The commands that the README shows for containers, unchanged.

use rustix::process::Signal;

use crate::{
    project::Project,
    support::{Process, commands_in, form, readme_blocks, run},
};

/// Returns the arguments of a Compose command.
#[track_caller]
fn arguments(typed: &str) -> Vec<String> {
    shlex::split(typed.strip_prefix("docker compose ").expect(typed)).unwrap()
}

#[test]
fn the_commands_of_the_readme_work_one_after_the_other() {
    let blocks = readme_blocks("## In containers", "console");
    let [start, steer, ..] = &blocks[..] else { panic!("two blocks: {blocks:#?}") };
    let start = commands_in(start);
    let [(up, _), (starter, shown)] = &start[..] else { panic!("two commands: {start:#?}") };
    let steer = commands_in(steer);
    let typed: Vec<_> = steer.iter().map(|(typed, _)| &**typed).collect();
    let [more, fewer, logs, stop] = typed[..] else { panic!("four commands: {typed:#?}") };

    let fleet = Project::new();
    let compose = |typed: &str| {
        let arguments = arguments(typed);
        fleet.compose(arguments.iter().map(String::as_str))
    };
    let is = |count: usize, typed: &str| {
        assert!(typed.ends_with(&format!("workflow-worker={count}")), "{typed}");
        fleet.healthy("workflow-worker", count);
    };
    let long = |typed: &str| {
        let arguments = arguments(typed);
        fleet.run(arguments.iter().map(String::as_str))
    };
    long(up);
    is(2, up);

    // Compose adds lines of its own to stderr, about the containers that it creates.
    let finished = run(compose(starter));
    assert_eq!(finished.code, 0, "{finished:#?}");
    let ours = |line: &&String| !line.trim_start().starts_with("Container ");
    let printed = finished.out.iter().chain(finished.err.iter().filter(ours));
    assert_eq!(form(&printed.cloned().collect::<Vec<_>>()), form(shown));

    long(more);
    is(4, more);
    long(fewer);
    is(1, fewer);

    let mut logs = Process::start(compose(logs));
    logs.out.wait_for("connected to Temporal");
    logs.signal(Signal::INT);
    logs.wait();

    let workers = fleet.containers("workflow-worker");
    long(stop);
    for worker in workers {
        let state = worker.state();
        assert_eq!((&state["Status"], &state["ExitCode"]), (&"exited".into(), &0.into()));
    }
}
