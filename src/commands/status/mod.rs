//! `fleet status`: the state of the fleet's task queues as the server sees it, wherever the workers
//! run.

mod json;
mod queues;
mod text;

use std::time::Duration;

use temporalio_client::{Client, NamespacedClient, tonic::Code};
use tokio::time::timeout;

use self::{json::json, queues::Reading, text::text};
use super::{
    context::{Context, connect_overrides, log_options},
    live::{self, Snapshot},
};
use crate::{
    cli::StatusArgs,
    config::{Config, show},
    error::{CommandError, Error, Exit},
    telemetry::Telemetry,
    temporal::{clock::ClockReader, connection, rate_limits::RateLimits, target::Target},
    terminal::{output::Output, screen, stdout::Stdout, style::Colour},
};

/// How long `--watch` waits for an answer before it reports that there is none.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

pub(super) async fn run(context: &Context<'_>, args: StatusArgs) -> Result<Exit, CommandError> {
    let config = context.config(connect_overrides(args.connect_timeout))?;
    let filter = if args.watch.is_some() { "error" } else { "warn" };
    Telemetry::default().install(&log_options(&config, filter));
    let settings = config.connect_settings();
    let address = Target::of(&settings)?.address;
    let connect = connection::connect_to_read(&settings, "status");
    let Some(client) = context.unless_stopped(connect).await? else {
        return Ok(context.stopped());
    };
    let status = StatusCommand {
        namespace: client.namespace(),
        client,
        address,
        colour: Colour::of_stdout(&config.environment),
        limits: RateLimits::default(),
        config: &config,
        args: &args,
        clock: ClockReader::default(),
    };
    match args.watch {
        Some(interval) => status.watch(context, interval).await,
        None => status.print_once(context).await,
    }
}

/// Everything that is needed to read the queues.
struct StatusCommand<'a> {
    client: Client,
    namespace: String,
    address: String,
    colour: Colour,
    /// Counts what the server refuses.
    limits: RateLimits,
    config: &'a Config,
    args: &'a StatusArgs,
    clock: ClockReader,
}

impl StatusCommand<'_> {
    async fn read(&self) -> Result<Reading, CommandError> {
        let (named, clock) = (&self.args.task_queue, &self.clock);
        queues::read(&self.client, self.config, named, clock, &self.limits).await
    }

    fn rendered(&self, reading: &Reading) -> String {
        match self.args.output {
            Output::Text => {
                let table = text(&self.address, &self.namespace, reading, self.colour);
                let limited = self.limits.sentence();
                limited.map_or(table.clone(), |limited| format!("{table}\n\n{limited}"))
            }
            Output::Json => json(&self.address, &self.namespace, reading, self.limits.refused()),
        }
    }

    async fn watch(&self, context: &Context<'_>, interval: Duration) -> Result<Exit, CommandError> {
        let in_place = self.args.output == Output::Text;
        live::repeat(context, interval, in_place, async || {
            let no_answer = |_| Error::Rpc {
                what: "describe a task queue",
                cause: format!("no answer within {}", show(ANSWER_TIMEOUT)),
                code: Code::DeadlineExceeded,
            };
            let reading = timeout(ANSWER_TIMEOUT, self.read()).await.map_err(no_answer)??;
            let mut text = self.rendered(&reading);
            if in_place {
                let now = humantime::format_rfc3339_seconds(reading.now);
                text = format!("{now}, every {}\n{text}", show(interval));
                if screen::size().is_none() {
                    text.push('\n');
                }
            }
            Ok(Snapshot { text, has_changed: true, is_last: false })
        })
        .await
    }

    /// Prints the queues once. With `--check`, a queue that no worker polls is an error.
    async fn print_once(&self, context: &Context<'_>) -> Result<Exit, CommandError> {
        let Some(reading) = context.unless_stopped(self.read()).await? else {
            return Ok(context.stopped());
        };
        Stdout::get().line(self.rendered(&reading));
        tokio::select! {
            () = Stdout::get().flush() => Stdout::get().result()?,
            () = context.shutdown.requested() => return Ok(context.stopped()),
        }
        match reading.rows.iter().find(|row| self.args.check && row.view.is_unserved()) {
            Some(row) => Err(CommandError::Unserved {
                queue: row.queue.clone(),
                kind: row.kind(),
                backlog: row.view.backlog,
            }),
            None => Ok(Exit::Success),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::{queues::QueueRow, *};
    use crate::temporal::{
        clock::Skew,
        task_queue::{Poller, TaskKind, View},
    };

    fn unserved() -> QueueRow {
        let poller = Poller {
            identity: "activity-worker@host:7".into(),
            last_access: Some(SystemTime::now() - Duration::from_secs(100)),
            version: Some("orders:2".into()),
            listed: SystemTime::now(),
        };
        let view = View {
            pollers: vec![poller],
            backlog: 12,
            oldest: Some(Duration::from_millis(95_300)),
            add_rate: 1.25,
            dispatch_rate: 0.0,
            routed_to: Some("orders:3".into()),
        };
        QueueRow { queue: "q".into(), kind: TaskKind::Activity, view }
    }

    fn reading(row: QueueRow) -> Reading {
        Reading { rows: vec![row], now: SystemTime::UNIX_EPOCH, skew: None }
    }

    #[test]
    fn a_clock_that_is_off_is_reported_above_the_table_and_in_json() {
        let mut reading = reading(unserved());
        let by = Duration::from_mins(2);
        reading.skew = Some(Skew { by, is_ahead: true, is_least: false });
        let printed = text("http://a:1", "default", &reading, Colour::Off);
        let line = "this machine's clock is 2m 00s ahead of the server's; times are the server's";
        assert_eq!(printed.lines().nth(1), Some(line));
        let printed = json("a", "n", &reading, 0);
        let document: serde_json::Value = serde_json::from_str(&printed).unwrap();
        assert_eq!(document["clock_skew_ms"], 120_000.0);
    }

    #[test]
    fn unserved_queue_is_red() {
        let lines = |colour| -> Vec<String> {
            text("http://a:1", "default", &reading(unserved()), colour)
                .lines()
                .map(Into::into)
                .collect()
        };
        let plain = lines(Colour::Off);
        assert_eq!(
            plain[2..7],
            [
                "TASK QUEUE  KIND      BACKLOG    OLDEST  ADDED/S  DISPATCHED/S  POLLERS",
                "q           activity       12    1m 35s      1.2           0.0        0",
                "  new workflows go to version orders:3",
                "  activity-worker@host:7  1m 40s ago  gone?  version orders:2",
                "  no worker polls it",
            ]
        );
        let painted = lines(Colour::On);
        assert_eq!(painted[3], format!("\x1b[31m{}\x1b[0m", plain[3]));
        assert_eq!(painted[6], "  \x1b[31mno worker polls it\x1b[0m");
    }

    #[test]
    fn json_keeps_its_keys_and_types() {
        let printed = json("http://a:1", "default", &reading(unserved()), 2);
        let mut document: serde_json::Value = serde_json::from_str(&printed).unwrap();
        let poller = &mut document["queues"][0]["pollers"][0];
        assert!(poller["last_access"].take().is_string());
        assert!(poller["seconds_ago"].take().as_f64().unwrap() >= 100.0);
        assert!(document["note"].take().as_str().unwrap().starts_with("Backlog and rates"));
        let expected = serde_json::json!({
            "time": "1970-01-01T00:00:00.000Z",
            "clock_skew_ms": null,
            "address": "http://a:1",
            "namespace": "default",
            "queues": [{
                "task_queue": "q",
                "kind": "activity",
                "backlog": 12,
                "oldest_seconds": 95.3,
                "add_rate": 1.25,
                "dispatch_rate": 0.0,
                "routed_to": "orders:3",
                "unserved": true,
                "pollers": [{
                    "identity": "activity-worker@host:7",
                    "last_access": null,
                    "seconds_ago": null,
                    "gone": true,
                    "version": "orders:2",
                }],
            }],
            "rate_limited": 2,
            "note": null,
        });
        assert_eq!(document, expected);
    }

    #[test]
    fn a_queue_without_backlog_has_no_oldest_task() {
        let mut row = unserved();
        row.view.backlog = 0;
        let printed = json("a", "n", &reading(row), 0);
        let document: serde_json::Value = serde_json::from_str(&printed).unwrap();
        assert!(document["queues"][0]["oldest_seconds"].is_null());
    }
}
