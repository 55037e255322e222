//! The fleet that is attacked, as its health listener describes it.

use std::{
    net::{SocketAddr, TcpListener},
    time::Duration,
};

use rustix::process::Signal;
use serde::Deserialize;

use crate::{health::ask, process::checked::CheckedProcess};

/// How long the listener may take to answer. It answers within milliseconds.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);
/// How large its answer may be, in bytes: many times what a thousand workers need.
const LARGEST_ANSWER: usize = 1024 * 1024;

/// A running `fleet up`, or the fleet of this process.
#[derive(Clone, Debug)]
pub(crate) struct AttackedFleet {
    /// The address of its health listener.
    pub(crate) address: SocketAddr,
    /// The process of its supervisor.
    supervisor: u32,
    /// Its dev server, if it has one.
    pub(crate) dev_server: Option<DevServerStatus>,
}

/// What is read of a fleet's `/status`.
#[derive(Debug, Deserialize)]
pub(super) struct FleetStatus {
    pid: u32,
    pub(super) workers: Vec<WorkerStatus>,
    pub(super) dev_server: Option<DevServerStatus>,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct WorkerStatus {
    pub(super) name: String,
    role: String,
    pub(super) state: String,
    pub(super) pid: Option<u32>,
    pub(super) health_addr: Option<SocketAddr>,
}

/// The dev server that runs with a fleet.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct DevServerStatus {
    /// `host:port`
    pub(crate) address: String,
    pub(super) pid: Option<u32>,
    state: String,
    /// The file that keeps its data. Without one the server is not started again.
    database: Option<String>,
}

impl DevServerStatus {
    pub(super) fn is_ready(&self) -> bool {
        self.state == READY
    }

    pub(crate) fn has_database(&self) -> bool {
        self.database.is_some()
    }
}

const READY: &str = "ready";

impl WorkerStatus {
    pub(super) fn is_ready(&self) -> bool {
        self.state == READY && self.pid.is_some()
    }
}

impl AttackedFleet {
    /// Finds the fleet whose health listener has this address. The error says what is there instead.
    pub(crate) async fn find(address: SocketAddr) -> Result<Self, String> {
        if TcpListener::bind((address.ip(), 0)).is_err() {
            return Err("it is not an address of this machine".to_owned());
        }
        let status = read_status(address).await?;
        let fleet = Self { address, supervisor: status.pid, dev_server: status.dev_server };
        // The listener may be of another machine or container, behind a forwarded port.
        let mut running = status.workers.iter().filter(|worker| worker.pid.is_some()).peekable();
        if running.peek().is_none() {
            return Err("no worker of it runs".to_owned());
        }
        let mut problem = String::new();
        for worker in running {
            match fleet.process(worker) {
                Ok(_) => return Ok(fleet),
                // A worker that is being replaced is no sign of that.
                Err(why) => problem = why,
            }
        }
        Err(format!("its workers are no processes of this machine: {problem}"))
    }

    /// Reads its status. The error says why there is none.
    pub(super) async fn status(&self) -> Result<FleetStatus, String> {
        let mut status = read_status(self.address).await?;
        if status.pid != self.supervisor {
            return Err("another fleet has its address".to_owned());
        }
        status.workers.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(status)
    }

    /// The pids of its workers that run workflows, and how many there are of them.
    pub(crate) async fn workflow_workers(&self) -> Result<Vec<u32>, String> {
        let status = self.status().await?;
        let of_workflows = status.workers.iter().filter(|worker| worker.role != "activity-worker");
        Ok(of_workflows.filter_map(|worker| worker.pid).collect())
    }

    /// The process of a worker, if it is one. The error says what the process is instead.
    fn process(&self, worker: &WorkerStatus) -> Result<CheckedProcess, String> {
        let pid = worker.pid.ok_or_else(|| "it does not run".to_owned())?;
        CheckedProcess::find(pid, self.supervisor, &["worker", "--supervised", &worker.name])
    }

    /// Signals a worker. The error says why it got no signal.
    pub(super) fn signal(&self, worker: &WorkerStatus, signal: Signal) -> Result<(), String> {
        self.process(worker)?.signal(signal).map_err(|error| error.to_string())
    }

    /// Kills the guard of the dev server; the fleet then kills the server itself. The error says why not.
    pub(super) fn kill_server(&self, pid: u32) -> Result<(), String> {
        let guard = CheckedProcess::find(pid, self.supervisor, &["server", "start-dev"])?;
        guard.signal(Signal::KILL).map_err(|error| error.to_string())
    }

    /// The arguments of this program that freeze a worker.
    pub(super) fn freeze_command(&self, worker: &WorkerStatus, time: Duration) -> Vec<String> {
        let pid = worker.pid.unwrap_or_default().to_string();
        let supervisor = self.supervisor.to_string();
        let time = format!("{}ms", time.as_millis());
        vec!["freeze".to_owned(), pid, supervisor, worker.name.clone(), time]
    }
}

async fn read_status(address: SocketAddr) -> Result<FleetStatus, String> {
    let (code, body) = ask(address, "/status", ANSWER_TIMEOUT, LARGEST_ANSWER)
        .await
        .map_err(|error| format!("no answer: {error}"))?;
    if code != 200 {
        return Err(format!("it answers {code} and not as a fleet does"));
    }
    // A worker's own listener says nothing of other workers.
    serde_json::from_str(&body).map_err(|_| "it does not answer as `fleet up` does".to_owned())
}
