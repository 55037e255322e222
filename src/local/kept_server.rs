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
        let mut ended = (exit.unwrap_or(ProcessExit::KILLED), Some(ready_since.elapsed()), error);
        loop {
            let (exit, ready_for, error) = ended;
            let pause = restarts.next_pause(exit, Instant::now(), ready_for, false, true);
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
