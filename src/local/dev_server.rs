//! Temporal's dev server, which the fleet runs as `temporal server start-dev`.
//!
//! It is for trying things and for tests. Its data is kept in memory and is lost when the server
//! ends, unless a file is named.

use std::{
    ffi::OsStr,
    fs::File,
    future::Future,
    io::{self, Read},
    net::{Ipv4Addr, TcpListener},
    path::{Path, PathBuf},
    pin::pin,
    time::Duration,
};

use serde::Serialize;
use tempfile::{NamedTempFile, TempPath};
use tokio::{
    sync::watch,
    time::{Instant, sleep},
};

use crate::{
    config::environment::Environment,
    error::{CommandError, Error},
    process::{
        child::{self, Child},
        exit_status::ProcessExit,
        state::State,
    },
};

/// How long the server may take to answer. It takes a second on an idle machine.
const START_TIMEOUT: Duration = Duration::from_mins(1);
/// How long to wait before the server is asked again whether it answers.
const PROBE_INTERVAL: Duration = Duration::from_millis(20);
/// How often a start is tried. A port that was free may be taken when the server binds it: one of
/// the two that we choose, or of the ten or so that the server finds for itself. The kernel gives
/// such ports to outgoing connections, so this does happen on a busy machine.
const TRIES: u32 = 3;
/// What the server, its UI and the CLI all print when a port is taken.
const PORT_TAKEN: &str = "address already in use";
/// How every line begins that the CLI prints once the server runs.
const BANNER: &str = "Temporal ";
/// How long the server may take to stop. `fleet guard` waits for it for five seconds.
const STOP_TIMEOUT: Duration = Duration::from_secs(10);
/// The server's limits of calls per second and host, which are raised. By default the dev server
/// answers about 500 small calls a second, and two workers and a starter reach that. Its one shard
/// also looks for new tasks only 20 times a second, so that each task of a workflow waits for up to
/// 50 ms: the p50 of the sample on an idle machine was 148 ms, and is 21 ms without that limit.
const RATE_LIMITS: [&str; 5] = [
    "frontend.rps",
    "frontend.namespaceRPS",
    "history.rps",
    "history.transferProcessorMaxPollRPS",
    "matching.rps",
];

/// Settings for workers that stop (`polls.rs`, docs/sdk.md): the server ends their open polls, and
/// each task queue has one partition, so that no other partition takes such a poll over.
const POLL_SETTINGS: [&str; 3] = [
    "frontend.enableCancelWorkerPollsOnShutdown=true",
    "matching.numTaskqueueReadPartitions=1",
    "matching.numTaskqueueWritePartitions=1",
];

/// Which port to use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Port {
    /// This one if it is free, else any free one.
    Preferred(u16),
    /// This one only.
    Exactly(u16),
    /// Any free one.
    Any,
}

impl Port {
    /// The port that a flag asks for: 0 means any free one. Without the flag it is `default`.
    pub(crate) fn from_flag(flag: Option<u16>, default: Self) -> Self {
        match flag {
            Some(0) => Self::Any,
            Some(port) => Self::Exactly(port),
            None => default,
        }
    }

    /// The port to try after this one was free and then was taken.
    fn alternative(self) -> Self {
        if let Self::Preferred(_) = self { Self::Any } else { self }
    }

    /// Finds a port that is free now. If another program takes it before the server does, the
    /// server ends at once and says so.
    fn choose(self) -> Result<u16, Error> {
        let bind = |port| {
            TcpListener::bind((Ipv4Addr::LOCALHOST, port))
                .and_then(|listener| Ok(listener.local_addr()?.port()))
        };
        let any = || {
            bind(0).map_err(|source| Error::Os { what: "cannot find a free port".into(), source })
        };
        match self {
            Self::Preferred(port) => bind(port).or_else(|_| any()),
            Self::Exactly(port) => bind(port).map_err(|source| Error::Os {
                what: format!("cannot use port {port} for the dev server"),
                source,
            }),
            Self::Any => any(),
        }
    }
}

/// The default ports of the server and of its UI, which Temporal's clients and users expect.
pub(crate) const DEFAULT_PORTS: (Port, Port) = (Port::Preferred(7233), Port::Preferred(8233));

/// How to run the dev server.
#[derive(Clone, Debug)]
pub(crate) struct DevServerOptions {
    pub(crate) port: Port,
    /// The port of its UI; `None` runs it without a UI.
    pub(crate) ui_port: Option<Port>,
    /// The file that keeps its data; it is created if it does not exist. `None` keeps the data in
    /// memory.
    pub(crate) db_filename: Option<PathBuf>,
}

impl DevServerOptions {
    /// The options to try after a port was taken.
    fn with_alternative_ports(&self) -> Self {
        Self {
            port: self.port.alternative(),
            ui_port: self.ui_port.map(Port::alternative),
            db_filename: self.db_filename.clone(),
        }
    }
}

/// What others may know about a dev server while it runs. `/status` of `fleet up` shows it.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct DevServerRecord {
    /// `host:port`
    address: String,
    /// The process that runs and guards the server; `None` while there is none.
    pid: Option<u32>,
    /// [`State::Ready`] while the server answers.
    state: State,
    /// How often it was started again.
    restarts: u32,
    /// The file that keeps its data. Without one the server is not started again.
    database: Option<PathBuf>,
}

/// A running dev server.
pub(crate) struct DevServer {
    child: Child,
    cli: PathBuf,
    /// How it was started, with the ports that were chosen.
    options: DevServerOptions,
    environment: Environment,
    record: watch::Sender<DevServerRecord>,
    /// What the server prints.
    output: File,
    /// The path of `output`. The file is removed once the server has opened it.
    output_path: Option<TempPath>,
    address: String,
    ui: Option<String>,
}

impl DevServer {
    /// Starts the server with the CLI at `cli` and waits until it answers. `answers` says whether
    /// the server at an address does. Returns `None` if `stop` completes first; nothing of the
    /// server is left then.
    ///
    /// # Errors
    /// [`CommandError::DevServer`] when it ends, or does not answer within a minute.
    pub(crate) async fn start(
        cli: &Path,
        mut options: DevServerOptions,
        environment: &Environment,
        answers: impl AsyncFn(&str) -> bool,
        stop: impl Future<Output = ()>,
    ) -> Result<Option<Self>, CommandError> {
        let mut stop = pin!(stop);
        let mut tries = TRIES;
        loop {
            tries -= 1;
            let mut server = Self::spawn(cli, &options, environment)?;
            let started = tokio::select! {
                started = server.until_answering(&answers) => started.map(|()| true),
                () = &mut stop => Ok(false),
            };
            if let Ok(true) = started {
                server.answers()?;
                return Ok(Some(server));
            }
            server.stop().await;
            match started {
                Ok(_) => return Ok(None),
                Err(CommandError::DevServer { what }) if tries > 0 && what.contains(PORT_TAKEN) => {
                    options = options.with_alternative_ports();
                }
                Err(error) => return Err(error),
            }
        }
    }

    fn spawn(
        cli: &Path,
        options: &DevServerOptions,
        environment: &Environment,
    ) -> Result<Self, CommandError> {
        let no_file = |source| Error::Os {
            what: "cannot create a temporary file for the dev server's output".into(),
            source,
        };
        let output = NamedTempFile::new().map_err(no_file)?;
        let port = options.port.choose()?;
        let ui_port = options.ui_port.map(Port::choose).transpose()?;
        let mut command = child::guarded(cli.as_os_str(), environment, Some(output.path()))?;
        // The CLI asks for these, and without them for the entry of this user in the list of users. A
        // container may run as a user that has none.
        let temporary = std::env::temp_dir();
        for (name, value) in [("HOME", temporary.as_os_str()), ("USER", OsStr::new("fleet"))] {
            if environment.get(name).is_none() {
                command.env(name, value);
            }
        }
        command
            .args(["server", "start-dev", "--ip", "127.0.0.1", "--log-level", "error"])
            .args(["--port", &port.to_string()]);
        match ui_port {
            Some(ui_port) => command.args(["--ui-port", &ui_port.to_string()]),
            None => command.arg("--headless"),
        };
        if let Some(file) = &options.db_filename {
            command.arg("--db-filename").arg(file);
        }
        for limit in RATE_LIMITS {
            command.args(["--dynamic-config-value", &format!("{limit}=50000")]);
        }
        for setting in POLL_SETTINGS {
            command.args(["--dynamic-config-value", setting]);
        }
        let child = Child::spawn(&mut command)?;
        let address = format!("127.0.0.1:{port}");
        let record = DevServerRecord {
            address: address.clone(),
            pid: Some(child.pid()),
            state: State::Starting,
            restarts: 0,
            database: options.db_filename.clone(),
        };
        Ok(Self {
            child,
            cli: cli.to_owned(),
            options: DevServerOptions {
                port: Port::Exactly(port),
                ui_port: ui_port.map(Port::Exactly),
                db_filename: options.db_filename.clone(),
            },
            environment: environment.clone(),
            record: watch::Sender::new(record),
            output: output.reopen().map_err(no_file)?,
            output_path: Some(output.into_temp_path()),
            address,
            ui: ui_port.map(|port| format!("http://127.0.0.1:{port}")),
        })
    }

    /// Completes the start of a server that answers.
    fn answers(&mut self) -> Result<(), CommandError> {
        self.output_path = None;
        self.record.send_modify(|record| record.state = State::Ready);
        self.child.outlive_later_children()
    }

    /// Starts the server again after it has ended, with the same ports and the same data, and waits until it
    /// answers. If the future is dropped, [`stop`](Self::stop) stops what was started.
    ///
    /// # Errors
    /// [`CommandError::DevServer`] when it ends, or does not answer within a minute; nothing of it is left then.
    pub(super) async fn start_again(
        &mut self,
        answers: impl AsyncFn(&str) -> bool,
    ) -> Result<(), CommandError> {
        let new = Self::spawn(&self.cli, &self.options, &self.environment)?;
        let record = std::mem::replace(self, new).record;
        let pid = Some(self.child.pid());
        record.send_modify(|record| {
            (record.pid, record.state, record.restarts) =
                (pid, State::Starting, record.restarts + 1);
        });
        self.record = record;
        if let Err(error) = self.until_answering(answers).await {
            self.child.stop(STOP_TIMEOUT).await;
            self.record.send_modify(|record| record.pid = None);
            return Err(error);
        }
        self.answers()
    }

    /// Waits until the server answers.
    async fn until_answering(
        &mut self,
        answers: impl AsyncFn(&str) -> bool,
    ) -> Result<(), CommandError> {
        let deadline = Instant::now() + START_TIMEOUT;
        loop {
            tokio::select! {
                exit = self.child.wait() => return Err(self.ended("while starting", exit)),
                answers = answers(&self.address) => if answers { return Ok(()) },
            }
            if Instant::now() > deadline {
                let what = format!("did not answer within {}", crate::config::show(START_TIMEOUT));
                return Err(CommandError::DevServer { what });
            }
            sleep(PROBE_INTERVAL).await;
        }
    }

    /// The error of a server that has ended. It quotes the line of the output that names a taken
    /// port, or else the first line that is not part of the banner. Nothing in the output explains a signal.
    fn ended(&mut self, when: &str, exit: io::Result<ProcessExit>) -> CommandError {
        if let Ok(exit @ ProcessExit { signal: Some(_), .. }) = exit {
            return CommandError::DevServer { what: format!("ended {when} ({exit})") };
        }
        let how = exit.map_or_else(|error| error.to_string(), |exit| exit.to_string());
        let mut output = String::new();
        // If the output cannot be read, the message is shorter.
        let _ = self.output.read_to_string(&mut output);
        let mut lines = output.lines().map(str::trim);
        let why = lines
            .clone()
            .find(|line| line.contains(PORT_TAKEN))
            .or_else(|| lines.find(|line| !line.is_empty() && !line.starts_with(BANNER)));
        let why = why.map(|why| format!(": {why}")).unwrap_or_default();
        CommandError::DevServer { what: format!("ended {when} ({how}){why}") }
    }

    /// The server's address as `host:port`, for `TEMPORAL_ADDRESS`.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// The URL of the server's UI, if it was started with one.
    pub(crate) fn ui(&self) -> Option<&str> {
        self.ui.as_deref()
    }

    /// The current record, and its changes.
    pub(crate) fn record(&self) -> watch::Receiver<DevServerRecord> {
        self.record.subscribe()
    }

    /// Whether the server's data outlives it.
    pub(super) fn has_database(&self) -> bool {
        self.options.db_filename.is_some()
    }

    /// Completes with an error when the server has ended by itself.
    pub(crate) async fn failed(&mut self) -> CommandError {
        self.exited().await.1
    }

    /// Completes when the server has ended by itself: how, and as an error.
    pub(super) async fn exited(&mut self) -> (Option<ProcessExit>, CommandError) {
        let exit = self.child.wait().await.map(ProcessExit::of_guarded);
        // If the guard was killed, the server still runs.
        self.child.kill_group();
        self.record.send_modify(|record| {
            (record.pid, record.state) = (None, State::Starting);
        });
        (exit.as_ref().ok().copied(), self.ended("unexpectedly", exit))
    }

    /// Stops the server.
    pub(crate) async fn stop(mut self) {
        self.child.stop(STOP_TIMEOUT).await;
    }
}
