//! The output of a process, line by line.

use std::{
    io::{BufRead, BufReader, Read},
    sync::{Arc, Condvar, Mutex},
    thread,
    time::Instant,
};

use super::DEADLINE;

/// The lines so far and whether the stream has ended, with a condition variable that signals changes.
type State = (Mutex<(Vec<String>, bool)>, Condvar);

/// The lines of a stream, which a thread collects as they arrive.
#[derive(Clone)]
pub(crate) struct Lines {
    state: Arc<State>,
    name: &'static str,
}

impl Lines {
    pub(super) fn read(stream: impl Read + Send + 'static, name: &'static str) -> Self {
        let lines = Self { state: Arc::default(), name };
        let writer = lines.clone();
        thread::spawn(move || {
            for line in BufReader::new(stream).split(b'\n').map_while(Result::ok) {
                let line = String::from_utf8_lossy(&line).into_owned();
                writer.update(|(lines, _)| lines.push(line));
            }
            writer.update(|(_, ended)| *ended = true);
        });
        lines
    }

    fn update(&self, change: impl FnOnce(&mut (Vec<String>, bool))) {
        change(&mut self.state.0.lock().unwrap());
        self.state.1.notify_all();
    }

    /// Waits until `found` returns a value for the lines so far.
    #[track_caller]
    fn wait<T>(&self, what: &str, mut found: impl FnMut(&[String], bool) -> Option<T>) -> T {
        let deadline = Instant::now() + DEADLINE;
        let mut state = self.state.0.lock().unwrap();
        loop {
            if let Some(value) = found(&state.0, state.1) {
                return value;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(
                !left.is_zero() && !state.1,
                "no {what} on {} ({}):\n{}",
                self.name,
                if state.1 { "it ended" } else { "deadline" },
                state.0.join("\n")
            );
            state = self.state.1.wait_timeout(state, left).unwrap().0;
        }
    }

    /// Waits for a line that contains `text` and returns it.
    #[track_caller]
    pub(crate) fn wait_for(&self, text: &str) -> String {
        self.wait(&format!("line with {text:?}"), |lines, _| {
            lines.iter().find(|line| line.contains(text)).cloned()
        })
    }

    /// Waits until there are `count` lines and returns them.
    #[track_caller]
    pub(crate) fn wait_count(&self, count: usize) -> Vec<String> {
        self.wait(&format!("{count} lines"), |lines, _| {
            (lines.len() >= count).then(|| lines.to_vec())
        })
    }

    /// Waits until no process holds the stream open any more, and returns all lines. If a process
    /// shares the stream with its children, this waits for the end of all of them.
    #[track_caller]
    pub(crate) fn wait_end(&self) -> Vec<String> {
        self.wait("end", |lines, ended| ended.then(|| lines.to_vec()))
    }

    /// Returns all lines so far.
    pub(crate) fn so_far(&self) -> Vec<String> {
        self.state.0.lock().unwrap().0.clone()
    }
}

/// The exit code and the output of a command that has ended.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) code: i32,
    pub(crate) out: Vec<String>,
    pub(crate) err: Vec<String>,
}

impl Finished {
    /// Asserts success and returns the lines of stdout.
    #[track_caller]
    pub(crate) fn success(self) -> Vec<String> {
        assert_eq!(self.code, 0, "{self:#?}");
        self.out
    }
}

/// Returns the three labels of the sample's result line: the processes that started the workflow, ran
/// its activity and ended it.
#[track_caller]
pub(crate) fn labels(line: &str) -> [String; 3] {
    let parts: Vec<_> = line.split(" | ").collect();
    let [start, activity, end] = parts[..] else { panic!("not a result of the sample: {line:?}") };
    let label = |part: &str, what: &str| {
        let label = part.strip_prefix(what).unwrap_or_else(|| panic!("no {what} in {line:?}"));
        assert!(!label.is_empty(), "{line:?}");
        label.to_owned()
    };
    [
        label(start, "wf-starting-pid:"),
        label(activity, "activity-pid:"),
        label(end, "wf-ending-pid:"),
    ]
}
