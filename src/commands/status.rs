//! `fleet status`: the fleet's task queues by the server's own account, wherever the workers are.

use std::{
    fmt::Write,
    time::{Duration, SystemTime},
};

use futures::future::try_join_all;
use serde_json::json;
use temporalio_client::{Client, NamespacedClient};
use tokio::time::timeout;

use super::{
    context::{Context, log_options},
    live::{self, Now},
};
use crate::{
    cli::StatusArgs,
    config::{Config, layers::Overrides, show},
    error::Error,
    telemetry::Telemetry,
    temporal::{
        connection,
        target::Target,
        task_queue::{self, Poller, TaskKind, View},
    },
    terminal::{output::Output, screen, stdout::Stdout},
};

const FOOTNOTE: &str = "\
Backlog and rates are the server's estimates for these queues, and can be seconds old. They leave
out what does not pass through them: a cached workflow's further tasks (sticky queues), and
activities that a worker was given eagerly with a workflow task.";

/// A queue for one kind of task, as it is shown.
struct Row {
    queue: String,
    kind: TaskKind,
    view: View,
}

/// An answer that takes longer is not waited for where it is asked for again anyway.
const PATIENCE: Duration = Duration::from_secs(10);

pub(super) async fn run(context: &Context<'_>, args: StatusArgs) -> Result<u8, Error> {
    let flags: Overrides =
        args.connect_timeout.map(|time| ("connect_timeout", show(time))).into_iter().collect();
    let config = context.config(flags)?;
    let filter = if args.watch.is_some() { "error" } else { "warn" };
    Telemetry::default().install(&log_options(&config, filter));
    let address = Target::of(&config.connect_settings())?.address;
    let settings = config.connect_settings();
    let connect = connection::connect(&settings, "status", None);
    let Some(client) = context.unless_stopped(connect).await? else {
        return Ok(context.shutdown.exit_code());
    };
    let namespace = client.namespace();
    let colour = screen::has_colour(&config.environment);
    let print = |rows: &[Row]| match args.output {
        Output::Text => text(&address, &namespace, rows, colour),
        Output::Json => json(&address, &namespace, rows),
    };
    if let Some(interval) = args.watch {
        let in_place = args.output == Output::Text;
        return live::repeat(context, interval, in_place, async || {
            let asked = timeout(PATIENCE, rows(&client, &config, &args.task_queue)).await;
            let silent = |_| Error::Rpc {
                what: "describe a task queue",
                cause: format!("no answer within {}", show(PATIENCE)),
            };
            let mut block = print(&asked.map_err(silent)??);
            if in_place {
                let now = humantime::format_rfc3339_seconds(SystemTime::now());
                block = format!("{now}, every {}\n{block}", show(interval));
                if screen::size().is_none() {
                    block.push('\n');
                }
            }
            Ok(Now { block, is_news: true, is_last: false })
        })
        .await;
    }

    let asked = context.unless_stopped(rows(&client, &config, &args.task_queue)).await?;
    let Some(rows) = asked else {
        return Ok(context.shutdown.exit_code());
    };
    Stdout::get().line(print(&rows));
    tokio::select! {
        () = Stdout::get().flush() => Stdout::get().result()?,
        () = context.shutdown.requested() => return Ok(context.shutdown.exit_code()),
    }
    let unserved = rows.iter().find(|row| row.view.is_unserved());
    match unserved.filter(|_| args.check) {
        Some(row) => Err(Error::Unserved {
            queue: row.queue.clone(),
            kind: row.kind.as_str(),
            backlog: row.view.backlog,
        }),
        None => Ok(0),
    }
}

/// The queues that are named, for both kinds; by default the fleet's, for their kind, and for the
/// other where a worker polls it (as those in role worker do) or tasks wait.
async fn rows(client: &Client, config: &Config, named: &[String]) -> Result<Vec<Row>, Error> {
    use TaskKind::{Activity, Workflow};
    let mut asked: Vec<(&str, TaskKind, bool)> = Vec::new();
    let again = |index: usize| named[..index].contains(&named[index]);
    for (_, queue) in named.iter().enumerate().filter(|(index, _)| !again(*index)) {
        asked.extend([(queue.as_str(), Workflow, true), (queue, Activity, true)]);
    }
    if named.is_empty() {
        let (workflows, activities) = (&config.workflow_task_queue, &config.activity_task_queue);
        let one = workflows == activities;
        asked.extend([(workflows.as_str(), Workflow, true), (workflows, Activity, one)]);
        if !one {
            asked.extend([(activities.as_str(), Workflow, false), (activities, Activity, true)]);
        }
    }
    let views = asked.iter().map(|(queue, kind, _)| task_queue::view(client, queue, *kind));
    let views = try_join_all(views).await?;
    Ok(asked
        .into_iter()
        .zip(views)
        .filter(|((.., always), view)| *always || view.is_used())
        .map(|((queue, kind, _), view)| Row { queue: queue.to_owned(), kind, view })
        .collect())
}

fn text(address: &str, namespace: &str, rows: &[Row], colour: bool) -> String {
    let queue = rows.iter().map(|row| row.queue.chars().count()).max().unwrap_or(0).max(10);
    let identities = rows.iter().flat_map(|row| &row.view.pollers);
    let identity = identities.map(|it| it.identity.chars().count()).max().unwrap_or(0);
    let (red, plain) = if colour { ("\x1b[31m", "\x1b[0m") } else { ("", "") };
    let mut text = format!(
        "namespace {namespace} at {address}\n\n{:queue$}  {:8}  {:>7}  {:>8}  {:>7}  {:>12}  {:>7}",
        "TASK QUEUE", "KIND", "BACKLOG", "OLDEST", "ADDED/S", "DISPATCHED/S", "POLLERS"
    );
    for Row { queue: name, kind, view } in rows {
        let (begin, end) = if view.is_unserved() { (red, plain) } else { ("", "") };
        let kind = kind.as_str();
        let oldest = view.oldest.filter(|_| view.backlog > 0).map_or("-".into(), seconds);
        let _ = write!(
            text,
            "\n{begin}{name:queue$}  {kind:8}  {:>7}  {oldest:>8}  {:>7.1}  {:>12.1}  {:>7}{end}",
            view.backlog,
            view.add_rate,
            view.dispatch_rate,
            view.pollers.iter().filter(|it| !it.is_gone()).count(),
        );
        if let Some(version) = &view.routed_to {
            let _ = write!(text, "\n  new workflows go to version {version}");
        }
        for poller in &view.pollers {
            let Poller { identity: name, version, .. } = poller;
            let seen = poller.seen_ago().map_or("never".into(), |ago| seconds(ago) + " ago");
            let _ = write!(text, "\n  {name:identity$}  {seen:>10}");
            if poller.is_gone() {
                text.push_str("  gone?");
            }
            if let Some(version) = version {
                let _ = write!(text, "  version {version}");
            }
        }
        if view.is_unserved() {
            let _ = write!(text, "\n  {begin}no worker polls it{end}");
        }
    }
    let _ = write!(text, "\n\n{FOOTNOTE}");
    text
}

/// Whole seconds, as `5s` or `3m 20s`.
fn seconds(duration: Duration) -> String {
    show(Duration::from_secs(duration.as_secs()))
}

fn json(address: &str, namespace: &str, rows: &[Row]) -> String {
    let queues = rows.iter().map(|Row { queue, kind, view }| {
        let pollers = view.pollers.iter().map(|poller| {
            json!({
                "identity": poller.identity,
                "last_access": poller.last_access.map(|at| humantime::format_rfc3339(at).to_string()),
                "seconds_ago": poller.seen_ago().map(|ago| ago.as_secs_f64()),
                "gone": poller.is_gone(),
                "version": poller.version,
            })
        });
        json!({
            "task_queue": queue,
            "kind": kind.as_str(),
            "backlog": view.backlog,
            "oldest_seconds": view.oldest.filter(|_| view.backlog > 0).map(|age| age.as_secs_f64()),
            "add_rate": view.add_rate,
            "dispatch_rate": view.dispatch_rate,
            "routed_to": view.routed_to,
            "unserved": view.is_unserved(),
            "pollers": pollers.collect::<Vec<_>>(),
        })
    });
    json!({
        "time": humantime::format_rfc3339_millis(SystemTime::now()).to_string(),
        "address": address,
        "namespace": namespace,
        "queues": queues.collect::<Vec<_>>(),
        "note": FOOTNOTE.replace('\n', " "),
    })
    .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unserved() -> Row {
        let poller = Poller {
            identity: "activity-worker@host:7".into(),
            last_access: Some(SystemTime::now() - Duration::from_secs(100)),
            version: Some("orders:2".into()),
        };
        let view = View {
            pollers: vec![poller],
            backlog: 12,
            oldest: Some(Duration::from_millis(95_300)),
            add_rate: 1.25,
            dispatch_rate: 0.0,
            routed_to: None,
        };
        Row { queue: "q".into(), kind: TaskKind::Activity, view }
    }

    #[test]
    fn a_queue_whose_pollers_have_gone_is_red_where_there_is_colour() {
        let lines = |colour| -> Vec<String> {
            text("http://a:1", "default", &[unserved()], colour).lines().map(Into::into).collect()
        };
        let plain = lines(false);
        assert_eq!(
            plain[2..6],
            [
                "TASK QUEUE  KIND      BACKLOG    OLDEST  ADDED/S  DISPATCHED/S  POLLERS",
                "q           activity       12    1m 35s      1.2           0.0        0",
                "  activity-worker@host:7  1m 40s ago  gone?  version orders:2",
                "  no worker polls it",
            ]
        );
        assert_eq!(lines(true)[3], format!("\x1b[31m{}\x1b[0m", plain[3]));
    }
}
