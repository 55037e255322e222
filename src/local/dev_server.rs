//! Temporal's dev server, run by the fleet: `temporal server start-dev` on ports of its own.
//!
//! For trying things and for tests. Its data is in memory and gone with it, unless a file is named.

use std::{
    fs::File,
    future::Future,
    io::{self, Read},
    net::{Ipv4Addr, TcpListener},
    path::{Path, PathBuf},
    pin::pin,
    process::ExitStatus,
    time::Duration,
};

use tempfile::{NamedTempFile, TempPath};
use tokio::time::{Instant, sleep};

use crate::{
    config::Config,
    error::Error,
    process::child::{self, Child, describe},
    temporal::connection,
};

/// It takes a second on an idle machine.
const START_TIMEOUT: Duration = Duration::from_mins(1);
/// A port that was free can be another's when the server comes to it: one of the two that it is told,
/// or of the ten or so that it finds for itself. The kernel gives such ports to every connection that
/// goes out, so on a busy machine that does happen.
const TRIES: u32 = 3;
/// Said by the server, by its UI or by the CLI, each in a form of its own.
const PORT_TAKEN: &str = "address already in use";
/// How every line of what the CLI prints once the server runs begins.
const GREETING: &str = "Temporal ";
/// More than the guard's own patience with the server.
const STOP_PATIENCE: Duration = Duration::from_secs(10);
/// Out of the box the dev server answers about 500 small calls a second, which two workers and a
/// starter reach; these settings lift its limits (calls a second, per host). And its one shard looks
/// for new tasks 20 times a second, so that each task of a workflow waits for up to 50 ms: p50 of the
/// sample at rest was 148 ms, and is 21 ms without that limit.
const RATE_LIMITS: [&str; 5] = [
    "frontend.rps",
    "frontend.namespaceRPS",
    "history.rps",
    "history.transferProcessorMaxPollRPS",
    "matching.rps",
];

/// What else it does otherwise than by default, for workers that stop (`polls.rs`, docs/sdk.md): it
/// ends their polls, and hands them to no other partition of their queue.
const LAST_POLLS: [&str; 3] = [
    "frontend.enableCancelWorkerPollsOnShutdown=true",
    "matching.numTaskqueueReadPartitions=1",
    "matching.numTaskqueueWritePartitions=1",
];

/// Which port to take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Port {
    /// This one where it is free, else any free one.
    Rather(u16),
    /// This one and no other.
    Exactly(u16),
    /// Any free one.
    Any,
}

impl Port {
    /// What a flag asks for: 0 is any, as everywhere; without the flag rather `usual`.
    pub(crate) fn from_flag(flag: Option<u16>, usual: Self) -> Self {
        match flag {
            Some(0) => Self::Any,
            Some(port) => Self::Exactly(port),
            None => usual,
        }
    }

    /// The port to try when this one was free and then was not.
    fn elsewhere(self) -> Self {
        if let Self::Rather(_) = self { Self::Any } else { self }
    }

    /// A port that is free now. Another program can take it before the server does; then the
    /// server ends at once, and says so.
    fn choose(self) -> Result<u16, Error> {
        let bind = |port| {
            TcpListener::bind((Ipv4Addr::LOCALHOST, port))
                .and_then(|it| Ok(it.local_addr()?.port()))
        };
        let any = || {
            bind(0).map_err(|source| Error::Os { what: "cannot find a free port".into(), source })
        };
        match self {
            Self::Rather(port) => bind(port).or_else(|_| any()),
            Self::Exactly(port) => bind(port).map_err(|source| Error::Os {
                what: format!("cannot use port {port} for the dev server"),
                source,
            }),
            Self::Any => any(),
        }
    }
}

/// The ports that Temporal's clients, and people who look for its UI, expect.
pub(crate) const USUAL_PORTS: (Port, Port) = (Port::Rather(7233), Port::Rather(8233));

/// How the server is to run.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    pub(crate) port: Port,
    /// Where its UI is, if it is to have one.
    pub(crate) ui_port: Option<Port>,
    /// The file that keeps its data, which it makes where there is none.
    pub(crate) db_filename: Option<PathBuf>,
}

impl Options {
    fn elsewhere(&self) -> Self {
        Self {
            port: self.port.elsewhere(),
            ui_port: self.ui_port.map(Port::elsewhere),
            db_filename: self.db_filename.clone(),
        }
    }
}

/// A running dev server.
pub(crate) struct DevServer {
    child: Child,
    /// What it says, and the name of that file until the server has opened it.
    said: File,
    said_in: Option<TempPath>,
    address: String,
    ui: Option<String>,
}

impl DevServer {
    /// Starts the server with the CLI at `cli` and waits until its default namespace answers.
    /// `None`: `stop` completed before that, and nothing of the server is left.
    ///
    /// # Errors
    /// [`Error::DevServer`] when it ends, or does not answer within a minute.
    pub(crate) async fn start(
        cli: &Path,
        mut options: Options,
        config: &Config,
        stop: impl Future<Output = ()>,
    ) -> Result<Option<Self>, Error> {
        let mut stop = pin!(stop);
        let mut tries = TRIES;
        loop {
            tries -= 1;
            let mut server = Self::spawn(cli, &options, config)?;
            let started = tokio::select! {
                answers = server.answers(config) => answers.map(|()| true),
                () = &mut stop => Ok(false),
            };
            if let Ok(true) = started {
                server.said_in = None;
                server.child.outlive_later_children()?;
                return Ok(Some(server));
            }
            server.stop().await;
            match started {
                Ok(_) => return Ok(None),
                Err(Error::DevServer { what }) if tries > 0 && what.contains(PORT_TAKEN) => {
                    options = options.elsewhere();
                }
                Err(error) => return Err(error),
            }
        }
    }

    fn spawn(cli: &Path, options: &Options, config: &Config) -> Result<Self, Error> {
        let no_file = |source| Error::Os {
            what: "cannot make a temporary file for the dev server's messages".into(),
            source,
        };
        let said = NamedTempFile::new().map_err(no_file)?;
        let port = options.port.choose()?;
        let ui_port = options.ui_port.map(Port::choose).transpose()?;
        let mut command = child::guarded(cli.as_os_str(), &config.environment, Some(said.path()))?;
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
        for setting in LAST_POLLS {
            command.args(["--dynamic-config-value", setting]);
        }
        Ok(Self {
            child: Child::spawn(&mut command)?,
            said: said.reopen().map_err(no_file)?,
            said_in: Some(said.into_temp_path()),
            address: format!("127.0.0.1:{port}"),
            ui: ui_port.map(|port| format!("http://127.0.0.1:{port}")),
        })
    }

    /// How the server ended, with what it said about it: the first line, unless one tells of a port.
    fn ended(&mut self, when: &str, status: io::Result<ExitStatus>) -> Error {
        let how = status.map_or_else(|error| error.to_string(), describe);
        let mut said = String::new();
        // Without it the message is shorter.
        let _ = self.said.read_to_string(&mut said);
        let mut lines = said.lines().map(str::trim);
        let why = lines
            .clone()
            .find(|line| line.contains(PORT_TAKEN))
            .or_else(|| lines.find(|line| !line.is_empty() && !line.starts_with(GREETING)));
        let why = why.map(|why| format!(": {why}")).unwrap_or_default();
        Error::DevServer { what: format!("ended {when} ({how}){why}") }
    }

    async fn answers(&mut self, config: &Config) -> Result<(), Error> {
        let there = config.pointed_at(&self.address).connect_settings();
        let deadline = Instant::now() + START_TIMEOUT;
        loop {
            tokio::select! {
                status = self.child.wait() => return Err(self.ended("while starting", status)),
                answer = connection::probe(&there) => if answer { return Ok(()) },
            }
            if Instant::now() > deadline {
                let what = format!("did not answer within {}", crate::config::show(START_TIMEOUT));
                return Err(Error::DevServer { what });
            }
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// `host:port`, for `TEMPORAL_ADDRESS`.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// The UI's URL, where it was started with one.
    pub(crate) fn ui(&self) -> Option<&str> {
        self.ui.as_deref()
    }

    /// Completes when the server has ended by itself.
    pub(crate) async fn failed(&mut self) -> Error {
        let status = self.child.wait().await;
        // A guard that was killed leaves the server behind.
        self.child.kill_group();
        self.ended("unexpectedly", status)
    }

    /// Stops the server.
    pub(crate) async fn stop(mut self) {
        self.child.stop(STOP_PATIENCE).await;
    }
}
