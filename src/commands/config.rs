//! `fleet config`: the effective settings, and where each came from.

use std::io::{self, Write};

use serde_json::{Map, Value, json};

use super::context::Context;
use crate::{
    cli::ConfigArgs,
    config::{
        Config,
        otel::{Endpoint, Settings, describe},
        settings::Group,
        source::Source,
        vars::Var,
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
    lines.extend(config.values().map(|(var, value, source)| setting(var, value, source)));
    // A process of a group has the group's settings, and is none of a fleet.
    for group in config.groups.iter().filter(|_| config.group.is_none()) {
        lines.extend(group_lines(group));
    }
    list(&lines)
}

/// A setting as a line of TOML.
fn setting(var: &Var, value: Option<String>, source: &Source) -> String {
    // What a file cannot hold, because it belongs to one process, is shown as a comment.
    // So is what follows from another setting, which a group may override.
    let follows = *source == Source::Default && var.default.contains(' ');
    let comment = if var.in_file() && !follows { "" } else { "# " };
    let Some(value) = value else { return format!("# {} is not set", var.key) };
    let is_plain = value.parse::<f64>().is_ok_and(f64::is_finite) || value.parse::<bool>().is_ok();
    let value = if is_plain { value } else { format!("{value:?}") };
    format!("{comment}{} = {value} # {source}", var.key)
}

/// A group as a table of TOML: what it is, and the settings of its own.
fn group_lines(group: &Group) -> Vec<String> {
    let mut lines = vec![
        String::new(),
        format!("[workers.{}]", toml_key(&group.name)),
        format!("role = \"{}\"", group.role),
        format!("task_queue = {:?}", group.task_queue()),
        format!("count = {}", group.count),
    ];
    let own = group.config.values().filter(|(var, _, source)| {
        matches!(source, Source::Group { .. })
            && var.key != "role"
            && var.key != group.role.queue_key()
    });
    lines.extend(own.map(|(var, value, source)| setting(var, value, source)));
    lines
}

/// A name as a key of TOML, in which a dot has a meaning.
fn toml_key(name: &str) -> String {
    if name.contains('.') { format!("{name:?}") } else { name.to_owned() }
}

fn as_json(
    config: &Config,
    connection: &[(String, String)],
    telemetry: &[(String, String)],
) -> String {
    let settings = settings_json(config);
    let groups: Map<String, Value> = config.groups.iter().map(group_json).collect();
    let pairs = |lines: &[(String, String)]| -> Map<String, Value> {
        lines.iter().map(|(name, value)| (name.clone(), json!(value))).collect()
    };
    let (connection, telemetry) = (pairs(connection), pairs(telemetry));
    let file = config.file.as_ref().map(|file| file.display().to_string());
    let all = json!({
        "fleet": config.fleet, "file": file, "settings": settings, "groups": groups, "connection": connection,
        "telemetry": telemetry,
    });
    on_its_lines(&format!("{all:#}")).into_owned()
}

fn settings_json(config: &Config) -> Map<String, Value> {
    let setting = |(var, value, source): (&Var, _, &Source)| {
        (var.key.to_owned(), json!({ "value": value, "source": source.to_string() }))
    };
    config.values().map(setting).collect()
}

fn group_json(group: &Group) -> (String, Value) {
    let settings = settings_json(&group.config);
    let group_value = json!({
        "role": group.role.as_str(), "task_queue": group.task_queue(), "count": group.count, "settings": settings,
    });
    (group.name.clone(), group_value)
}
