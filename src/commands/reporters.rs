//! How `fleet up` and `fleet demo` show the events of a fleet.

use std::{fmt::Write, sync::Arc, time::SystemTime};

use serde::Serialize;

use crate::{
    config::show,
    local::events::{FleetEvent, Reporter},
    terminal::{announce::Announce, duration::short, output::Output, stdout::Stdout},
    text::{json::on_one_line, one_line},
};

/// The reporter of `fleet up` for an output format.
pub(super) fn for_up(output: Output) -> Arc<dyn Reporter> {
    match output {
        Output::Text => Arc::new(UpText),
        Output::Json => Arc::new(UpJson),
    }
}

/// The reporter of `fleet demo`.
pub(super) fn for_demo() -> Arc<dyn Reporter> {
    Arc::new(DemoText)
}

/// The reporter of `fleet chaos`, which reports its attacks itself.
pub(super) fn for_chaos() -> Arc<dyn Reporter> {
    Arc::new(ChaosText)
}

/// `fleet up` as text: the fleet's events on stdout in the words of Temporal's Python sample, and
/// errors and the dev server's address on stderr.
struct UpText;

impl Reporter for UpText {
    fn report(&self, event: &FleetEvent) {
        match event {
            FleetEvent::DevServerReady { address, ui } => {
                Announce::Stderr.say(&dev_server(address, ui.as_deref()));
            }
            FleetEvent::DevServerExited { error, restart_in: Some(pause) } => {
                let pause = short(*pause);
                Announce::Stderr.say(&format!("ERROR: {error}: starting it again in {pause}"));
            }
            FleetEvent::FleetStarting { workflow_workers, activity_workers, workers } => {
                Announce::Stdout.say(&starting(*workflow_workers, *activity_workers, *workers));
                Announce::Stdout.say("waiting for keyboard interrupt or for all workers to exit");
            }
            _ => worker_text(event, Announce::Stdout),
        }
    }
}

/// `fleet up` as one line of JSON per event, on stdout.
struct UpJson;

impl Reporter for UpJson {
    fn report(&self, event: &FleetEvent) {
        let now = SystemTime::now();
        let gap = |count| json(&FleetEvent::EventsLeftOut { count }, now);
        Stdout::get().offer(json(event, now), gap);
    }
}

/// `fleet demo`, whose stdout is for results: the workers' events on stderr.
struct DemoText;

impl Reporter for DemoText {
    fn report(&self, event: &FleetEvent) {
        worker_text(event, Announce::Stderr);
    }
}

/// `fleet chaos`: only what no attack explains.
struct ChaosText;

impl Reporter for ChaosText {
    fn report(&self, event: &FleetEvent) {
        if let FleetEvent::WorkerStartFailed { .. } = event {
            worker_text(event, Announce::Stderr);
        }
    }
}

/// Shows an event of a worker as a line. Unexpected exits always go to stderr.
fn worker_text(event: &FleetEvent, announce: Announce) {
    match event {
        FleetEvent::WorkerStarting(process) => {
            announce.say(&format!("{} starting", process.worker));
        }
        FleetEvent::WorkerShuttingDown(process) => {
            announce.say(&format!("{} shutting down", process.worker));
        }
        FleetEvent::WorkerStuck { process, silent_for, stall } => {
            let (worker, silent_for) = (&process.worker, show(*silent_for));
            Announce::Stderr.say(&format!(
                "ERROR: worker stuck: {worker} gave no sign of life for {silent_for} and is replaced: {stall}"
            ));
        }
        FleetEvent::WorkerExited { process, exit, restart_in } => {
            let worker = &process.worker;
            let line = if restart_in.is_some() && exit.was_stopped() {
                format!("worker stopped from outside: {worker} ({exit}): it is replaced")
            } else {
                format!("ERROR: worker exited unexpectedly: {worker} ({exit})")
            };
            Announce::Stderr.say(&line);
        }
        FleetEvent::WorkflowEndsWorkers { run, workers } => {
            let id = shlex::try_quote(&run.workflow_id).unwrap_or_default();
            Announce::Stderr.say(&format!(
                "ERROR: workflow {run} has ended or blocked its worker {workers} times. To look at it: `fleet \
                 trace {id}`; to stop it: `temporal workflow terminate -w {id}`"
            ));
        }
        FleetEvent::WorkerStartFailed { worker, error, restart_in, .. } => {
            let pause = short(*restart_in);
            let line =
                format!("ERROR: {worker} is not replaced yet: {error}: trying again in {pause}");
            Announce::Stderr.say(&one_line(&line));
        }
        _ => {}
    }
}

fn dev_server(address: &str, ui: Option<&str>) -> String {
    let ui = ui.map(|ui| format!("Temporal UI:         {ui}\n")).unwrap_or_default();
    format!("Temporal dev server: {address}\n{ui}\n  export TEMPORAL_ADDRESS={address}\n")
}

/// The line that the sample prints. The sample has no workers that serve both workflows and activities.
fn starting(workflow_workers: usize, activity_workers: usize, workers: usize) -> String {
    let mut text = format!(
        "starting {workflow_workers} workflow worker(s) and {activity_workers} activity worker(s)"
    );
    if workers > 0 {
        let _ = write!(text, " and {workers} worker(s)");
    }
    text
}

fn json(event: &FleetEvent, time: SystemTime) -> String {
    #[derive(Serialize)]
    struct TimedEvent<'a> {
        /// RFC 3339, in UTC, to the millisecond.
        time: String,
        #[serde(flatten)]
        event: &'a FleetEvent,
    }
    let time = humantime::format_rfc3339_millis(time).to_string();
    let json = serde_json::to_string(&TimedEvent { time, event }).unwrap_or_default();
    on_one_line(&json).into_owned()
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::*;
    use crate::{
        config::role::Role,
        local::events::WorkerProcess,
        process::{exit_status::ProcessExit, named_run::NamedRun, stall::Stall},
    };

    fn process() -> WorkerProcess {
        WorkerProcess {
            worker: "workflow-worker:0".into(),
            role: Role::WorkflowWorker,
            pid: 24_326,
        }
    }

    fn as_json(event: &FleetEvent) -> String {
        json(event, SystemTime::UNIX_EPOCH)
    }

    #[test]
    fn an_exit_has_its_code_or_signal_and_the_pause_before_the_restart() {
        let exit = ProcessExit::KILLED;
        let restart_in = Some(Duration::from_millis(250));
        assert_eq!(
            as_json(&FleetEvent::WorkerExited { process: process(), exit, restart_in }),
            r#"{"time":"1970-01-01T00:00:00.000Z","event":"worker_exited","worker":"workflow-worker:0","role":"workflow-worker","pid":24326,"exit_code":null,"signal":9,"restart_in_ms":250}"#
        );
        let exit = ProcessExit { exit_code: Some(78), signal: None };
        let event = FleetEvent::WorkerExited { process: process(), exit, restart_in: None };
        let json = as_json(&event);
        assert!(json.ends_with(r#""exit_code":78,"signal":null,"restart_in_ms":null}"#), "{json}");
    }

    #[test]
    fn every_event_is_documented_with_its_fields() {
        let exit = ProcessExit::KILLED;
        let events = [
            FleetEvent::DevServerReady { address: "127.0.0.1:7233".into(), ui: None },
            FleetEvent::DevServerExited { error: "it ended".into(), restart_in: None },
            FleetEvent::FleetStarting { workflow_workers: 2, activity_workers: 1, workers: 0 },
            FleetEvent::WorkerStarting(process()),
            FleetEvent::WorkerReady(process()),
            FleetEvent::WorkerDisconnected(process()),
            FleetEvent::FleetReady,
            FleetEvent::WorkerStuck {
                process: process(),
                silent_for: Duration::from_secs(30),
                stall: Stall::default(),
            },
            FleetEvent::WorkerExited { process: process(), exit, restart_in: None },
            FleetEvent::WorkflowEndsWorkers { run: NamedRun::default(), workers: 3 },
            FleetEvent::WorkerStartFailed {
                worker: "workflow-worker:0".into(),
                role: Role::WorkflowWorker,
                error: "too many open files".into(),
                restart_in: Duration::from_secs(1),
            },
            FleetEvent::FleetShuttingDown { error: None },
            FleetEvent::WorkerShuttingDown(process()),
            FleetEvent::WorkerStopped { process: process(), exit },
            FleetEvent::FleetStopped { exit_code: 0, error: None },
        ];
        let page = include_str!("../../docs/operations.md");
        for event in &events {
            let line: serde_json::Map<_, _> = serde_json::from_str(&as_json(event)).unwrap();
            let name = format!("| `{}` |", line["event"].as_str().unwrap());
            let row = page.lines().find(|row| row.starts_with(&name));
            let row = row.unwrap_or_else(|| panic!("docs/operations.md has no row {name}"));
            for field in line.keys().filter(|field| !matches!(field.as_str(), "event" | "time")) {
                assert!(row.contains(&format!("`{field}`")), "no {field} in {row}");
            }
        }
    }

    #[test]
    fn the_dev_server_is_shown_with_the_line_that_a_shell_needs() {
        assert_eq!(
            dev_server("127.0.0.1:7233", Some("http://127.0.0.1:8233")),
            "Temporal dev server: 127.0.0.1:7233\n\
             Temporal UI:         http://127.0.0.1:8233\n\n  \
             export TEMPORAL_ADDRESS=127.0.0.1:7233\n"
        );
    }
}
