//! Snapshots: what people read, compared with the files in `tests/it/snapshots`.
//!
//! A mismatch fails the test, shows the difference and, unless `CI` or `INSTA_UPDATE=no` is set, leaves
//! a `.snap.new` file. How to accept a change is described in `main.rs`.

use std::{collections::BTreeSet, fs, path::Path, process::Command};

use insta::Settings;
use temporalio_common::protos::temporal::api::enums::v1::EventType;

use crate::{
    command_line::help_snapshots,
    server::{self, count_events},
    support::{Finished, World, run},
};

/// Compares a text with `tests/it/snapshots/<name>.snap`: exactly, or with everything replaced that
/// differs from run to run. Without a name, the file has the name of the test.
macro_rules! assert_snapshot {
    (exact $name:expr, $text:expr $(,)?) => {
        $crate::snapshot::exact().bind(|| insta::assert_snapshot!($name, $text))
    };
    (exact $text:expr $(,)?) => {
        $crate::snapshot::exact().bind(|| insta::assert_snapshot!($text))
    };
    (scrubbed $name:expr, $text:expr $(,)?) => {
        $crate::snapshot::scrubbed().bind(|| insta::assert_snapshot!($name, $text))
    };
}
pub(crate) use assert_snapshot;

pub(crate) fn exact() -> Settings {
    let mut settings = Settings::new();
    settings.set_snapshot_path(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/snapshots"));
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    // The output of this program differs between machines.
    settings.add_filter(r"(/bin/false: `--version` printed) .* \(exit", "$1 [text] (exit");
    settings
}

/// The values that differ from run to run and their replacements, in the order in which they are
/// replaced. The padding in front of a value is replaced too, because it depends on the value's length.
const FILTERS: [(&str, &str); 18] = [
    (r"test-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "[world]"),
    (r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "[uuid]"),
    (r"build [0-9a-f]{8}-[0-9a-f]{8}", "build [build]"),
    (r"@[A-Za-z0-9._-]+:\d+", "@[host]:[pid]"),
    (r"\b[0-9a-f]{12}\b", "[batch]"),
    (r"pid:\d+", "pid:[pid]"),
    (r"127\.0\.0\.1:\d+", "[address]"),
    (r"/\S+/(fleet|orders)\b", "$1"),
    (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", "[timestamp]"),
    // The axis of a timeline ends with the run's duration; a bar is as long as its share of that.
    (r"(?m)  0 +\d+(\.\d+)? m?s$", "  0 [axis]"),
    (r"(?m) +[░▒█━─][░▒█━─ ]*$", " [bar]"),
    // The legend names only the parts that are long enough to be visible.
    (r"(?m)^[░▒█━─] .*$", "[legend]"),
    (r" *\b\d+m \d\ds\b", " [time]"),
    (r" *\b\d+(\.\d+)? m?s\b", " [time]"),
    (r"  +\d+s\b", " [time]"),
    (r" *\d+ %", " [share]"),
    (r" *\b\d+\.\d+ workflows/s", " [rate] workflows/s"),
    (r" *\b\d+\.\d+\b", " [number]"),
];

pub(crate) fn scrubbed() -> Settings {
    let mut settings = exact();
    for (pattern, replacement) in FILTERS {
        settings.add_filter(pattern, replacement);
    }
    settings
}

/// Runs a scenario in its own world and returns its result. On a busy machine a task can time out, which
/// changes the output of the commands. In that case, the scenario is run again in another world.
#[track_caller]
pub(crate) fn undisturbed<T>(scenario: impl Fn(&World) -> T) -> T {
    const TIMEOUTS: [EventType; 2] =
        [EventType::WorkflowTaskTimedOut, EventType::ActivityTaskTimedOut];
    for _ in 0..5 {
        let world = World::new();
        let result = scenario(&world);
        let histories = server::histories(&world.workflow_queue());
        let mut all = histories.iter();
        if all.all(|history| TIMEOUTS.iter().all(|of| count_events(history, *of) == 0)) {
            return result;
        }
    }
    panic!("a task timed out in each of five worlds");
}

/// Runs a command to its end, and returns a transcript of the command and its output.
#[track_caller]
pub(crate) fn transcript(command: Command) -> String {
    let shown = command_line(&command);
    shown_with(&shown, &run(command))
}

/// Returns a transcript: a command line with its output and its exit code.
pub(crate) fn shown_with(command_line: &str, finished: &Finished) -> String {
    let streams = [("stdout", &finished.out), ("stderr", &finished.err)];
    let printed = streams.into_iter().filter(|(_, lines)| !lines.is_empty());
    let printed = printed.map(|(name, lines)| format!("[{name}]\n{}\n", lines.join("\n")));
    let printed: String = printed.collect();
    format!("$ {command_line}\n{printed}[exit code] {}\n", finished.code)
}

/// Returns the command as a user types it, without its environment.
pub(crate) fn command_line(command: &Command) -> String {
    let program = std::path::Path::new(command.get_program()).file_name().unwrap();
    let words = std::iter::once(program).chain(command.get_args());
    shlex::try_join(words.map(|word| word.to_str().unwrap())).unwrap()
}

#[test]
fn every_snapshot_file_is_used_by_a_test() {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it");
    let mut used: BTreeSet<_> = help_snapshots().collect();
    add_used_names(&tests, &mut used);
    for file in fs::read_dir(tests.join("snapshots")).unwrap() {
        let file = file.unwrap().file_name().into_string().unwrap();
        let Some(name) = file.strip_suffix(".snap") else { continue };
        assert!(used.contains(name), "no test uses snapshots/{file}: delete it");
    }
}

/// Adds the names of the snapshots that the files in `folder` compare with, except for names that are
/// computed. A snapshot without a name has the name of its test, as [`assert_snapshot`] describes.
fn add_used_names(folder: &Path, used: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            add_used_names(&path, used);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(path).unwrap();
            for (at, call) in text.match_indices("assert_snapshot!(") {
                let arguments = text[at + call.len()..].trim_start();
                let (_, arguments) = arguments.split_once(char::is_whitespace).unwrap();
                let name = match arguments.trim_start().strip_prefix('"') {
                    Some(literal) => literal.split('"').next(),
                    None => text[..at].rsplit("fn ").next().unwrap().split('(').next(),
                };
                used.insert(name.unwrap().to_owned());
            }
        }
    }
}
