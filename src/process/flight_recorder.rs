//! A worker's flight recorder: a small file in which it notes whose workflow code runs.
//!
//! Code that aborts, overflows the stack or uses up the memory ends its process without a last word. The
//! supervisor then reads in the file which workflow it was. Writing costs two small system calls for each
//! time that a workflow's code runs, and nothing is ever synced to a disk: the file only has to outlive the
//! process, not the machine.

use std::{
    fs::{self, File},
    io,
    os::unix::fs::FileExt,
    path::Path,
};

use super::named_run::NamedRun;

/// The longest record, in bytes: more than a type and an id of a thousand letters need.
const LONGEST: usize = 16 * 1024;
/// What the file begins with while the code of the workflow in the record runs.
const RUNS: u8 = 1;

/// The file that a worker writes.
#[derive(Debug)]
pub(crate) struct FlightRecorder(File);

impl FlightRecorder {
    /// Opens the file at `path` for writing, and removes its name: who has it open can read it, and nothing
    /// is left behind.
    ///
    /// # Errors
    /// When there is no such file.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let file = File::options().write(true).open(path)?;
        // If the name stays, the supervisor removes it.
        let _ = fs::remove_file(path);
        Ok(Self(file))
    }

    /// Notes that the workflow of this [`record`] runs. A file that cannot be written leaves an older state
    /// behind, as if nothing had been noted.
    pub(super) fn begin(&self, record: &[u8]) {
        let _ = self.0.write_all_at(record, 0);
    }

    /// Notes that no workflow's code runs.
    pub(super) fn end(&self) {
        let _ = self.0.write_all_at(&[0], 0);
    }
}

/// The record of a run: a mark, its length, and the run as JSON.
pub(super) fn record(run: &NamedRun) -> Vec<u8> {
    let json = serde_json::to_vec(run).unwrap_or_default();
    let length = u32::try_from(json.len()).unwrap_or_default();
    [&[RUNS][..], &length.to_le_bytes(), &json].concat()
}

/// The workflow whose code ran when the worker that writes this file wrote last. `None` if no code ran.
pub(crate) fn read(file: &File) -> Option<NamedRun> {
    let mut head = [0; 5];
    file.read_exact_at(&mut head, 0).ok()?;
    let [RUNS, length @ ..] = head else { return None };
    let length =
        usize::try_from(u32::from_le_bytes(length)).ok().filter(|length| *length <= LONGEST)?;
    let mut json = vec![0; length];
    file.read_exact_at(&mut json, head.len() as u64).ok()?;
    serde_json::from_slice(&json).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_sees_whose_code_runs_and_the_name_of_the_file_is_gone() {
        let (file, path) = tempfile::NamedTempFile::new().unwrap().into_parts();
        let recorder = FlightRecorder::open(&path).unwrap();
        assert!(!path.exists());
        assert_eq!(read(&file), None);
        let run = |id: &str| NamedRun { workflow_id: id.into(), ..NamedRun::default() };
        for id in ["a long one", "b\0", "注文"] {
            recorder.begin(&record(&run(id)));
            assert_eq!(read(&file), Some(run(id)));
        }
        recorder.end();
        assert_eq!(read(&file), None);
    }
}
