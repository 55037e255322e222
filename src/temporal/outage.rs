//! Outages of the Temporal server: the log gets one line when the server stops answering and one when it
//! answers again, however many calls fail and whoever notices.
//!
//! The question that is asked is for the namespace, because a server that does not know it is of no more use than
//! one that is away.
//!
//! The SDK logs each call that it repeats. With a hundred workflows awaited that is a hundred lines every few
//! seconds, which the default filter leaves out (`telemetry/stderr.rs`).

use std::{
    collections::HashMap,
    sync::{LazyLock, Mutex, PoisonError},
    time::{Duration, Instant},
};

use temporalio_client::{
    Client, NamespacedClient, RetryOptions,
    grpc::WorkflowService,
    request_extensions::RetryConfigForCall,
    tonic::{Code, IntoRequest, Status},
};
use temporalio_common::protos::temporal::api::workflowservice::v1::DescribeNamespaceRequest;
use tokio::{
    sync::watch,
    time::{sleep, timeout},
};
use tokio_util::task::AbortOnDropHandle;
use tracing::{info, warn};

use super::{connection::TRY_TIMEOUT, target::describe};
use crate::config::show;

/// How often a server that answers is asked whether it still does.
const PERIOD: Duration = Duration::from_secs(5);
/// How often a server that does not is asked.
const PERIOD_AWAY: Duration = Duration::from_secs(1);
/// The shortest time between two outages that are logged, so that a server that comes and goes does not fill
/// the log.
const BETWEEN_LINES: Duration = Duration::from_secs(10);

/// After so many answers that the namespace does not exist, it is gone. A server that starts may not know it yet.
const DENIALS: u32 = 2;

/// Whether a server is there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Presence {
    #[default]
    Here,
    /// It does not answer.
    Away,
    /// It answers that the namespace does not exist.
    WithoutNamespace,
}

/// Asks the server regularly whether it is there.
pub(crate) struct Watch {
    presence: watch::Receiver<Presence>,
    _task: AbortOnDropHandle<()>,
}

impl Watch {
    /// Whether the server is there, and changes of that.
    pub(crate) fn presence(&self) -> watch::Receiver<Presence> {
        self.presence.clone()
    }
}

/// Asks the server regularly whether it is there, until the result is dropped, and logs when it stops answering and
/// when it answers again.
pub(crate) fn watch(client: &Client, address: &str) -> Watch {
    let (client, address) = (client.clone(), address.to_owned());
    let (changes, presence) = watch::channel(Presence::default());
    let task = AbortOnDropHandle::new(tokio::spawn(async move {
        let (mut pause, mut denials) = (PERIOD, 0);
        loop {
            sleep(pause).await;
            let answer = ask_twice(&client).await;
            denials = if answer == Ok(Namespace::Missing) { denials + 1 } else { 0 };
            let now = match answer {
                Ok(_) => {
                    answered(&address);
                    pause = PERIOD;
                    if denials >= DENIALS { Presence::WithoutNamespace } else { Presence::Here }
                }
                Err(cause) => {
                    failed(&address, &cause);
                    pause = PERIOD_AWAY;
                    Presence::Away
                }
            };
            changes.send_if_modified(|before| std::mem::replace(before, now) != now);
        }
    }));
    Watch { presence, _task: task }
}

/// Asks once more where the first question failed at once. A server or a proxy that closes an old connection may close
/// it under a question; the next one opens another connection.
async fn ask_twice(client: &Client) -> Result<Namespace, String> {
    let started = Instant::now();
    match ask(client).await {
        Err(_) if started.elapsed() < TRY_TIMEOUT / 2 => ask(client).await,
        answer => answer,
    }
}

/// What a server says of the namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Namespace {
    /// It exists, as far as this client may know.
    Exists,
    Missing,
}

/// Asks the server for the namespace, once. A refusal is an answer too.
///
/// # Errors
/// Why there is no answer.
pub(super) async fn ask(client: &Client) -> Result<Namespace, String> {
    let message = DescribeNamespaceRequest { namespace: client.namespace(), ..Default::default() };
    let mut request = message.into_request();
    request.extensions_mut().insert(RetryConfigForCall(RetryOptions::no_retries()));
    match timeout(TRY_TIMEOUT, client.clone().describe_namespace(request)).await {
        Err(_) => Err(format!("no answer within {}", show(TRY_TIMEOUT))),
        Ok(Err(status)) if status.code() == Code::NotFound => Ok(Namespace::Missing),
        Ok(Err(status)) if is_away(&status) => Err(describe(&status)),
        Ok(_) => Ok(Namespace::Exists),
    }
}

/// Whether a status stands for a server that is away, and not for one that refuses.
fn is_away(status: &Status) -> bool {
    matches!(
        status.code(),
        Code::Unavailable
            | Code::DeadlineExceeded
            | Code::Cancelled
            | Code::Aborted
            | Code::Internal
            | Code::Unknown
    )
}

/// Records that the server at `address` did not answer, for `cause`.
pub(super) fn failed(address: &str, cause: &str) {
    if with(address, |server| server.failed(Instant::now())) {
        warn!("Temporal at {address} does not answer: {cause}; trying again");
    }
}

/// Records that the server at `address` answered.
pub(super) fn answered(address: &str) {
    if let Some(away) = with(address, |server| server.answered(Instant::now())) {
        info!("Temporal at {address} answers again, after {}", show(whole_seconds(away)));
    }
}

fn whole_seconds(time: Duration) -> Duration {
    Duration::from_secs(time.as_secs().max(1))
}

/// What is known about the server at `address`. All calls of this process share it.
fn with<T>(address: &str, act: impl FnOnce(&mut Server) -> T) -> T {
    static SERVERS: LazyLock<Mutex<HashMap<String, Server>>> = LazyLock::new(Mutex::default);
    let mut servers = SERVERS.lock().unwrap_or_else(PoisonError::into_inner);
    act(servers.entry(address.to_owned()).or_default())
}

#[derive(Debug, Default)]
struct Server {
    /// Since when it has not answered.
    away_since: Option<Instant>,
    /// Whether the log has a line about this outage.
    is_logged: bool,
    last_line: Option<Instant>,
}

impl Server {
    /// Returns whether to log it.
    fn failed(&mut self, now: Instant) -> bool {
        self.away_since.get_or_insert(now);
        let is_due = self.last_line.is_none_or(|at| now.duration_since(at) >= BETWEEN_LINES);
        if self.is_logged || !is_due {
            return false;
        }
        self.is_logged = true;
        self.last_line = Some(now);
        true
    }

    /// Returns how long it was away, if that is to be logged.
    fn answered(&mut self, now: Instant) -> Option<Duration> {
        let since = self.away_since.take()?;
        if !std::mem::take(&mut self.is_logged) {
            return None;
        }
        self.last_line = Some(now);
        Some(now.duration_since(since))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is logged, of failures and answers at these seconds.
    fn logged(events: &[(u64, bool)]) -> Vec<(u64, bool)> {
        let (mut server, start) = (Server::default(), Instant::now());
        let is_logged = |(second, answers): &(u64, bool)| {
            let now = start + Duration::from_secs(*second);
            if *answers { server.answered(now).is_some() } else { server.failed(now) }
        };
        events.iter().copied().filter(is_logged).collect()
    }

    #[test]
    fn an_outage_has_one_line_at_its_begin_and_one_at_its_end() {
        let events = [
            (0, true),
            (1, false),
            (1, false),
            (2, false),
            (60, false),
            (61, true),
            (61, true),
            (90, false),
        ];
        assert_eq!(logged(&events), [(1, false), (61, true), (90, false)]);
    }

    #[test]
    fn a_server_that_comes_and_goes_is_logged_now_and_then_and_an_outage_that_lasts_in_any_case() {
        let events = [
            (0, false),
            (1, true),
            (2, false),
            (3, true),
            (4, false),
            (9, false),
            (11, false),
            (12, false),
        ];
        assert_eq!(logged(&events), [(0, false), (1, true), (11, false)]);
    }
}
