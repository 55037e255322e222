//! What the fuzz targets in `fuzz/` call: each function reads outside input as the program does, and panics if
//! what comes of it breaks a promise.
//!
//! It is compiled with `--cfg fuzzing` only, which `cargo fuzz` sets.

use std::{
    cell::LazyCell,
    io::{Seek, SeekFrom, Write},
    num::NonZeroUsize,
    path::PathBuf,
    str,
    time::{Duration, SystemTime},
};

use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::{Value, value::RawValue};
use tempfile::NamedTempFile;
use temporalio_common::protos::temporal::api::{
    common::v1::Payload, failure::v1::Failure, history::v1::History,
};

use crate::{
    config::{
        Compression, Config, connect::ConnectSettings, environment::Environment, layers::Defaults,
        otel, role::Role,
    },
    process::worker_message::{MessageReader, WorkerMessage},
    temporal::{failure::FailureChain, options, payload},
    terminal::style::Colour,
    text::{
        at_styles, has_hidden,
        json::{is_readable, on_one_line},
        one_line, width,
    },
    timeline::{self, Layout},
};

/// A key, a password or a token. Inputs have it where they like; no output may.
const SECRET: &str = "Zm9yYmlkZGVu";

/// `fleet.toml`, and below a line `---` the environment: a variable a line.
pub fn settings(data: &[u8]) {
    let Some((file, environment)) = file_and_environment(data) else { return };
    let path = in_file(file);
    let resolve =
        |environment: &Environment| Config::resolve(&defaults(), Some(&path), environment, &vec![]);
    let config = match resolve(&environment) {
        Ok(config) => config,
        Err(error) => return assert_lines(&error.to_string()),
    };
    let mut of_child = environment;
    for (name, value) in config.for_child(Role::Worker) {
        of_child.set(name, &value);
    }
    let child = resolve(&of_child).expect("a child takes the settings of its supervisor");
    for ((var, ours, _), (_, theirs, _)) in config.values().zip(child.values()) {
        assert!(var.key == "role" || ours == theirs, "{}: {ours:?}, {theirs:?}", var.key);
    }
}

/// `temporal.toml`, and below a line `---` the environment: a variable a line.
pub fn connection(data: &[u8]) {
    let Some((file, mut environment)) = file_and_environment(data) else { return };
    environment.set("TEMPORAL_CONFIG_FILE", &in_file(file).display().to_string());
    let given = environment.clone();
    let settings = ConnectSettings {
        environment,
        connect_timeout: Duration::from_secs(1),
        compression: Compression::None,
    };
    match options::describe_connection(&settings) {
        Ok(described) => {
            let shown: Vec<_> =
                described.iter().map(|(name, value)| format!("{name}={value}")).collect();
            assert_no_secret(file, &given, &shown.join("\n"));
        }
        Err(error) => {
            assert_lines(&error.to_string());
            assert_no_secret(file, &given, &error.to_string());
        }
    }
}

/// The environment of OpenTelemetry: a variable a line.
pub fn otel_variables(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else { return };
    let environment = environment(text);
    let (_, problems) = otel::Settings::read(&environment);
    let problems = problems.into_iter().map(|(what, rule)| format!("{what}: {rule}"));
    let shown = otel::describe(&environment);
    let shown = shown.into_iter().map(|(name, value)| format!("{name}={value}"));
    assert_no_secret("", &environment, &problems.chain(shown).collect::<Vec<_>>().join("\n"));
}

/// The values of a workflow's result.
pub fn payloads(payloads: &[Payload]) {
    assert_line(&payload::line(payloads));
    assert_line(&payload::list(payloads, ", "));
    payload::json(payloads);
    for one in payloads {
        let json = payload::json_value(one);
        // A number that no parser of ours reads stays as it was written.
        let Some(shown) = assert_json(json.get()) else { continue };
        let result = payload::json(std::slice::from_ref(one));
        if result.encoding.is_none() {
            // A value of its own: `null` where there is none.
            let given = serde_json::from_slice(&one.data).unwrap_or(Value::Null);
            assert_eq!(shown, given);
        } else {
            let value = shown.get("value");
            let bytes = shown["data"].as_str().map(|data| BASE64_STANDARD.decode(data).unwrap());
            assert!(value.is_some() || bytes.as_deref() == Some(&one.data[..]), "a byte is lost");
        }
        payload::note(one);
    }
}

/// A failure with its causes.
pub fn failure(failure: &Failure) {
    let chain = FailureChain::of(Some(failure));
    assert_json(&on_one_line(&serde_json::to_string(&chain).unwrap()));
    for longest in [40, 500] {
        let short = chain.short(longest);
        assert_line(&short);
        assert!(width(&short) <= longest + 40, "{} columns: {short}", width(&short));
    }
    for (title, lines) in chain.attachments() {
        assert_line(&title);
        lines.iter().for_each(|line| assert_line(line));
    }
}

/// A history: whatever events a server sends, in whatever order.
pub fn history(history: History) {
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
    let Some(timeline) = timeline::of_history(history, now) else { return };
    assert_json(&timeline::json(&timeline, "localhost:7233", "default"));
    for (width, most_rows, whole) in [(20, 3, false), (100, 200, false), (300, 1_000, true)] {
        let layout = Layout { width, colour: Colour::On, most_rows, whole };
        let text = timeline::text(&timeline, "localhost:7233", "default", layout);
        for (text, _) in at_styles(&text) {
            assert_lines(text);
        }
    }
}

/// What a worker writes to its supervisor, in parts of a length that the first byte gives.
pub fn worker_messages(data: &[u8]) {
    let Some((length, written)) = data.split_first() else { return };
    let whole = messages(written, written.len().max(1));
    assert_eq!(whole, messages(written, usize::from(*length).max(1)));
    for message in whole {
        if let WorkerMessage::Stalled(stall) = &message {
            assert_line(&one_line(&stall.to_string()));
        }
        let mut line = serde_json::to_vec(&message).unwrap();
        line.push(b'\n');
        assert_eq!(messages(&line, line.len()), [message]);
    }
}

fn messages(written: &[u8], length: usize) -> Vec<WorkerMessage> {
    let mut reader = MessageReader::default();
    let mut messages = Vec::new();
    for mut bytes in written.chunks(length) {
        while !bytes.is_empty() {
            let (taken, message) = reader.take(bytes);
            messages.extend(message);
            bytes = &bytes[taken..];
        }
    }
    messages
}

fn defaults() -> Defaults {
    Defaults {
        fleet: "fuzz".into(),
        version: "1".into(),
        workflow_task_queue: "workflows".into(),
        activity_task_queue: "activities".into(),
        activity_threads: NonZeroUsize::MIN,
        workflow_types: vec!["Order".into()],
        activity_types: vec!["charge".into()],
        known_variables: vec![],
    }
}

/// The text of the file, and the environment. `None` for what cannot be passed to the program, and for what names
/// a device, which would be waited for.
fn file_and_environment(data: &[u8]) -> Option<(&str, Environment)> {
    let text = str::from_utf8(data).ok()?;
    let (file, variables) = text.split_once("---\n").unwrap_or((text, ""));
    (!text.contains("/dev") && !text.contains("/proc")).then(|| (file, environment(variables)))
}

fn environment(text: &str) -> Environment {
    let variables = text.lines().filter_map(|line| line.split_once('='));
    let variables = variables.filter(|(name, value)| {
        // FLEET_CONFIG would name another file.
        !name.is_empty() && *name != "FLEET_CONFIG" && !value.contains('\0')
    });
    variables.map(|(name, value)| (name.replace('\0', ""), value.replace("\\n", "\n"))).collect()
}

/// The path of a file with this text. There is one file, which is written anew each time.
fn in_file(text: &str) -> PathBuf {
    thread_local! {
        static FILE: LazyCell<NamedTempFile> =
            LazyCell::new(|| NamedTempFile::new().expect("a temporary file can be created"));
    }
    FILE.with(|file| {
        let mut writer = file.as_file();
        writer.set_len(0).expect("it can be emptied");
        writer.seek(SeekFrom::Start(0)).expect("it can be written from its start");
        writer.write_all(text.as_bytes()).expect("it can be written");
        file.path().to_owned()
    })
}

/// Text for people on one line.
fn assert_line(text: &str) {
    assert!(!has_hidden(text), "{text:?}");
}

/// Text for people on several lines.
fn assert_lines(text: &str) {
    text.split('\n').for_each(assert_line);
}

/// JSON for scripts: one line that parsers can read. Its value, if no number in it is too large.
fn assert_json(json: &str) -> Option<Value> {
    assert!(!has_hidden(json) && is_readable(json), "{json:?}");
    if let Err(error) = serde_json::from_str::<&RawValue>(json) {
        panic!("{error}: {json}");
    }
    serde_json::from_str(json).ok()
}

/// `shown` has no secret, unless one was given where nobody keeps any.
fn assert_no_secret(file: &str, environment: &Environment, shown: &str) {
    let is_secret = |name: &str| {
        let name = name.trim().to_ascii_uppercase();
        ["API_KEY", "_DATA", "_HEADERS"].iter().any(|end| name.ends_with(end))
            || name.starts_with("TEMPORAL_GRPC_META_")
    };
    let is_elsewhere = environment.iter().any(|(name, value)| {
        let (name, value) = (name.to_string_lossy(), value.to_string_lossy());
        name.contains(SECRET) || (value.contains(SECRET) && !is_secret(&name))
    });
    if !is_elsewhere && !file.contains(SECRET) {
        assert!(!shown.contains(SECRET), "a secret is shown: {shown}");
    }
}
