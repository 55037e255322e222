//! `fleet config`: the effective settings, and where each came from.

use std::io::{self, Write};

use serde_json::{Map, Value, json};

use super::context::Context;
use crate::{
    cli::ConfigArgs,
    config::{
        Config,
        otel::{Endpoint, Settings, describe},
    },
    error::{CommandError, Error, Exit},
    temporal::options,
    terminal::output::Output,
    text::{json::on_its_lines, list},
};

pub(super) fn run(context: &Context<'_>, args: &ConfigArgs) -> Result<Exit, CommandError> {
    let config = context.config(Vec::new())?;
    let connection = options::describe_connection(&config.connect_settings())?;
    let telemetry = telemetry(&config);
    let text = match args.output {
        Output::Text => as_toml(&config, &connection, &telemetry),
        Output::Json => as_json(&config, &connection, &telemetry),
    };
    let printed = writeln!(io::stdout().lock(), "{text}");
    match printed {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Error::Os { what: "cannot print the settings".into(), source: error }.into())
        }
        _ => Ok(Exit::Success),
    }
}

/// Returns the exported signals with their endpoints, and the variables that are set for them. Secrets are
/// masked.
fn telemetry(config: &Config) -> Vec<(String, String)> {
    let shown =
        |endpoint: &Option<Endpoint>| endpoint.as_ref().map_or("off".into(), ToString::to_string);
    let Settings { traces, metrics, logs, .. } = &config.telemetry;
    let signals = [("traces", traces), ("metrics", metrics), ("logs", logs)];
    let signals = signals.map(|(name, endpoint)| (name.to_owned(), shown(endpoint)));
    signals.into_iter().chain(describe(&config.environment)).collect()
}

fn as_toml(
    config: &Config,
    connection: &[(String, String)],
    telemetry: &[(String, String)],
) -> String {
    let file = config.file.as_ref().map_or("none".into(), |file| file.display().to_string());
    let mut lines = vec![format!("# Fleet {}. Settings' file: {file}", config.fleet)];
    lines.push("# The connection (Temporal's own variables or its configuration file):".into());
    lines.extend(connection.iter().map(|(name, value)| format!("#   {name} = {value:?}")));
    lines.push("# Telemetry (OpenTelemetry's own variables):".into());
    lines.extend(telemetry.iter().map(|(name, value)| format!("#   {name} = {value:?}")));
    for (var, value, source) in config.values() {
        // Settings that belong to one process are shown as comments, because a file cannot hold them.
        let comment = if var.in_file() { "" } else { "# " };
        match value {
            Some(value) if value.parse::<u64>().is_ok() || value.parse::<bool>().is_ok() => {
                lines.push(format!("{comment}{} = {value} # {source}", var.key));
            }
            Some(value) => lines.push(format!("{comment}{} = {value:?} # {source}", var.key)),
            None => lines.push(format!("# {} is not set", var.key)),
        }
    }
    list(&lines)
}

fn as_json(
    config: &Config,
    connection: &[(String, String)],
    telemetry: &[(String, String)],
) -> String {
    let settings: Map<String, Value> = config
        .values()
        .map(|(var, value, source)| {
            (var.key.to_owned(), json!({ "value": value, "source": source.to_string() }))
        })
        .collect();
    let pairs = |lines: &[(String, String)]| -> Map<String, Value> {
        lines.iter().map(|(name, value)| (name.clone(), json!(value))).collect()
    };
    let (connection, telemetry) = (pairs(connection), pairs(telemetry));
    let file = config.file.as_ref().map(|file| file.display().to_string());
    let all = json!({
        "fleet": config.fleet, "file": file, "settings": settings, "connection": connection,
        "telemetry": telemetry,
    });
    on_its_lines(&format!("{all:#}")).into_owned()
}
