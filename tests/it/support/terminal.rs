//! A terminal for processes that print something different on a terminal.

use std::{
    fs::File,
    io::Read,
    process::{Command, Stdio},
    sync::{Arc, Mutex},
    thread,
};

use rustix::{
    process::Signal,
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
};

use super::{eventually, kill};

/// Runs a command to its end on its own terminal, and returns its output including control sequences.
#[track_caller]
pub(crate) fn on_a_terminal(command: Command) -> String {
    on_a_terminal_until(command, |_| false).0
}

/// Runs a command on its own terminal to its end, and sends it a Ctrl-C as soon as it has shown
/// `enough`. Returns the output and the exit code, which is `None` if a signal ended the command.
#[track_caller]
pub(crate) fn on_a_terminal_until(
    mut command: Command,
    enough: impl Fn(&str) -> bool,
) -> (String, Option<i32>) {
    let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&ours).unwrap();
    unlockpt(&ours).unwrap();
    let name = ptsname(&ours, Vec::new()).unwrap();
    let theirs = File::options().read(true).write(true).open(name.to_str().unwrap()).unwrap();
    command.env("TERM", "xterm").stdin(Stdio::null());
    command.stdout(theirs.try_clone().unwrap()).stderr(theirs);
    let mut child = command.spawn().unwrap();
    // The command itself holds the terminal's other end, too. Without it, the output can end.
    drop(command);
    let seen = Arc::new(Mutex::new(Vec::new()));
    let so_far = || String::from_utf8_lossy(&seen.lock().unwrap()).into_owned();
    let reader = thread::spawn({
        let (seen, mut part) = (seen.clone(), [0; 4096]);
        let mut terminal = File::from(ours);
        // Linux reports the end of the output as an error.
        move || {
            while let Ok(count @ 1..) = terminal.read(&mut part) {
                seen.lock().unwrap().extend_from_slice(&part[..count]);
            }
        }
    });
    let mut stopped = false;
    let mut ended = None;
    eventually("the command exits", || {
        if !stopped && enough(&so_far()) {
            stopped = true;
            kill(child.id(), Signal::INT);
        }
        ended = child.try_wait().unwrap();
        ended.is_some()
    });
    reader.join().unwrap();
    (so_far(), ended.unwrap().code())
}
