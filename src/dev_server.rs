//! Temporal's dev server, run by the fleet: `temporal server start-dev` on ports of its own.
//!
//! For trying things and for tests. Its data is in memory and gone with it.

use std::{
    net::{Ipv4Addr, TcpListener},
    path::Path,
    process::Stdio,
    time::Duration,
};

use tokio::time::{Instant, sleep};

use crate::{
    child::{self, Child, describe},
    client,
    config::Config,
    error::Error,
};

/// It takes a second on an idle machine.
const START_TIMEOUT: Duration = Duration::from_mins(1);
/// More than the guard's own patience with the server.
const STOP_PATIENCE: Duration = Duration::from_secs(10);
/// Out of the box the dev server answers about 500 small calls a second, which two workers and a
/// starter reach; these settings lift its limits (calls a second, per host).
const RATE_LIMITS: [&str; 4] =
    ["frontend.rps", "frontend.namespaceRPS", "history.rps", "matching.rps"];

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

/// A running dev server.
pub(crate) struct DevServer {
    child: Child,
    address: String,
    ui: Option<String>,
}

impl DevServer {
    /// Starts the server with the CLI at `cli`, with its UI where a port for that is given, and
    /// waits until its default namespace answers.
    ///
    /// # Errors
    /// [`Error::DevServer`] when it ends, or does not answer within a minute.
    pub(crate) async fn start(
        cli: &Path,
        port: Port,
        ui_port: Option<Port>,
        config: &Config,
    ) -> Result<Self, Error> {
        let port = port.choose()?;
        let ui_port = ui_port.map(Port::choose).transpose()?;
        let mut command = child::guarded(cli.as_os_str())?;
        command
            .args(["server", "start-dev", "--ip", "127.0.0.1", "--log-level", "never"])
            .args(["--port", &port.to_string()]);
        match ui_port {
            Some(ui_port) => command.args(["--ui-port", &ui_port.to_string()]),
            None => command.arg("--headless"),
        };
        for limit in RATE_LIMITS {
            command.args(["--dynamic-config-value", &format!("{limit}=50000")]);
        }
        command.stdout(Stdio::null());
        let mut server = Self {
            child: Child::spawn(&mut command)?,
            address: format!("127.0.0.1:{port}"),
            ui: ui_port.map(|port| format!("http://127.0.0.1:{port}")),
        };
        server.answers(config).await?;
        server.child.outlive_later_children()?;
        Ok(server)
    }

    async fn answers(&mut self, config: &Config) -> Result<(), Error> {
        let there = config.pointed_at(&self.address);
        let deadline = Instant::now() + START_TIMEOUT;
        loop {
            tokio::select! {
                status = self.child.wait() => return Err(Error::DevServer {
                    what: format!("ended while starting ({})", status.map_or_else(|e| e.to_string(), describe)),
                }),
                answer = client::probe(&there) => if answer { return Ok(()) },
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
        let how = status.map_or_else(|error| error.to_string(), describe);
        Error::DevServer { what: format!("ended unexpectedly ({how})") }
    }

    /// Stops the server.
    pub(crate) async fn stop(mut self) {
        self.child.stop(STOP_PATIENCE).await;
    }
}
