//! Reads the files that settings name.
//!
//! Such a file can be anything that a path leads to: a pipe that nobody writes to, a device without an end, a
//! file system whose server is gone. So it is read on a thread of its own, within a time and up to a size. A
//! stop that is requested meanwhile ends the process ([`on_stop`]), because no work has begun yet.

use std::{
    fs::File,
    io::{self, Read},
    path::Path,
    process,
    sync::{
        OnceLock,
        mpsc::{self, Receiver, RecvTimeoutError},
    },
    thread,
    time::{Duration, Instant},
};

use super::show;

/// How large such a file may be, in bytes. The certificates of all public authorities are a fifth of it.
const LARGEST: u64 = 1024 * 1024;
/// How long reading may take. A pipe may be the output of a program that asks another machine for a secret.
const LONGEST: Duration = Duration::from_secs(30);

/// How often a file that takes long is asked whether a stop was requested meanwhile.
const CHECK: Duration = Duration::from_millis(200);

/// The exit code for a stop that was requested.
static STOP: OnceLock<i32> = OnceLock::new();

/// Ends the process with this exit code if a file is being read, or will be, and takes long.
pub(crate) fn on_stop(exit_code: i32) {
    let _ = STOP.set(exit_code);
}

/// The content of a file.
///
/// # Errors
/// Why it cannot be read. The error does not name the file.
pub(crate) fn read(path: &Path) -> io::Result<Vec<u8>> {
    read_within(path, LARGEST, LONGEST)
}

/// The content of a text file.
///
/// # Errors
/// The same as [`read`], and that of a file that is not UTF-8.
pub(crate) fn read_text(path: &Path) -> io::Result<String> {
    String::from_utf8(read(path)?).map_err(|error| {
        let at = error.utf8_error().valid_up_to() + 1;
        io::Error::other(format!("it is not UTF-8, at byte {at}"))
    })
}

fn read_within(path: &Path, largest: u64, longest: Duration) -> io::Result<Vec<u8>> {
    let (sender, content) = mpsc::sync_channel(1);
    let path = path.to_owned();
    let started = thread::Builder::new().name("settings".into()).spawn(move || {
        // Nobody receives it where the time is over.
        let _ = sender.send(read_at_most(&path, largest));
    });
    started.and_then(|_| received(&content, longest))
}

/// What the thread sends, unless it takes too long or a stop is requested.
fn received(content: &Receiver<io::Result<Vec<u8>>>, longest: Duration) -> io::Result<Vec<u8>> {
    let start = Instant::now();
    while let Some(left) = longest.checked_sub(start.elapsed()) {
        match content.recv_timeout(left.min(CHECK)) {
            Ok(read) => return read,
            Err(RecvTimeoutError::Disconnected) => break,
            Err(RecvTimeoutError::Timeout) => {
                if let Some(exit_code) = STOP.get() {
                    process::exit(*exit_code);
                }
            }
        }
    }
    Err(io::Error::other(format!("there was no end within {}", show(longest))))
}

fn read_at_most(path: &Path, largest: u64) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    // One byte more than allowed shows that there is more.
    File::open(path)?.take(largest + 1).read_to_end(&mut content)?;
    if content.len() as u64 > largest {
        return Err(io::Error::other(format!("it is larger than {} KiB", largest / 1024)));
    }
    Ok(content)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn problem(path: &Path) -> String {
        read_within(path, 1024, Duration::from_millis(50)).unwrap_err().to_string()
    }

    #[test]
    fn a_file_is_read_up_to_the_limit() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(&[b'x'; 1024]).unwrap();
        assert_eq!(read_within(file.path(), 1024, LONGEST).unwrap().len(), 1024);
        file.write_all(b"x").unwrap();
        assert_eq!(problem(file.path()), "it is larger than 1 KiB");
        assert_eq!(problem(Path::new("/dev/zero")), "it is larger than 1 KiB");
        assert!(problem(Path::new("/no/such/file")).starts_with("No such file"));
    }

    #[test]
    fn a_pipe_that_nobody_writes_to_is_given_up() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, rustix::fs::Mode::RUSR).unwrap();
        assert_eq!(problem(&pipe), "there was no end within 50ms");
    }

    #[test]
    fn a_text_has_to_be_utf8() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(b"a\xff").unwrap();
        assert_eq!(read_text(file.path()).unwrap_err().to_string(), "it is not UTF-8, at byte 2");
    }
}
