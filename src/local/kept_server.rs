//! Keeps a dev server running: one that has a database is started again when it ends.

use tokio::time::{Instant, sleep};

use super::{
    dev_server::DevServer,
    events::{FleetEvent, Reporter},
    restarts::Restarts,
};
use crate::{
    error::{CommandError, chain},
    process::exit_status::ProcessExit,
};

/// The name of the server in an error that says why it is not started again.
const NAME: &str = "the Temporal dev server";
/// How a start counts that failed: as a crash.
const FAILED_START: ProcessExit = ProcessExit { exit_code: Some(1), signal: None };

/// Starts the server again whenever it ends, and completes with an error when it must not: at once if its data
/// was in memory, because all workflows are gone with it; else when it is in a crash loop. `answers` says whether
/// the server at an address does. If the future is dropped, the server can be stopped as usual.
pub(crate) async fn keep(
    server: &mut DevServer,
    answers: impl AsyncFn(&str) -> bool,
    reporter: &dyn Reporter,
) -> CommandError {
    let mut restarts = Restarts::new(NAME.to_owned());
    loop {
        let ready_since = Instant::now();
        let (exit, error) = server.exited().await;
        if !server.has_database() {
            return error;
        }
        let exit = exit.map_or(ProcessExit::KILLED, of_program);
        let mut ended = (exit, Some(ready_since.elapsed()), error);
        loop {
            let (exit, ready_for, error) = ended;
            let pause = restarts.next_pause(exit, Instant::now(), ready_for, true);
            let restart_in = pause.as_ref().ok().copied();
            reporter.report(&FleetEvent::DevServerExited { error: chain(&error), restart_in });
            match pause {
                Ok(pause) => sleep(pause).await,
                Err(crash_loop) => return crash_loop,
            }
            match server.start_again(&answers).await {
                Ok(()) => break,
                Err(error) => ended = (FAILED_START, None, error),
            }
        }
        reporter.report(&FleetEvent::DevServerReady {
            address: server.address().to_owned(),
            ui: server.ui().map(ToOwned::to_owned),
        });
    }
}

/// How the program under a guard ended, of how the guard did: it exits as a shell does, with 128 and the number of
/// the signal that ended the program.
fn of_program(exit: ProcessExit) -> ProcessExit {
    match exit.exit_code {
        Some(code @ 129..=192) => ProcessExit { exit_code: None, signal: Some(code - 128) },
        _ => exit,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_was_killed_is_recognized_behind_its_guard() {
        let code = |code| ProcessExit { exit_code: Some(code), signal: None };
        assert_eq!(of_program(code(137)), ProcessExit::KILLED);
        assert_eq!(of_program(code(1)), code(1));
        assert_eq!(of_program(ProcessExit::KILLED), ProcessExit::KILLED);
    }
}
