//! The names of this process: its identity at Temporal, its build id and its version.

use std::time::SystemTime;

use crate::user_code::label::hostname;

/// The identity of a process in Temporal's UI and in histories: `<role>@<host>:<pid>`.
pub(crate) fn identity(role: &str, pid: u32) -> String {
    format!("{role}@{}:{pid}", hostname())
}

/// The build id of a worker for which no deployment names one.
///
/// This is the [source revision](revision) if it is known. Otherwise it is made of the size and the
/// modification time of the program's file.
pub(crate) fn own_build_id() -> String {
    if let Some(revision) = revision() {
        return revision.to_owned();
    }
    let build_id = std::env::current_exe()
        .and_then(std::fs::metadata)
        .and_then(|program| Ok((program.len(), program.modified()?)))
        .ok()
        .and_then(|(size, modified)| {
            let since_epoch = modified.duration_since(SystemTime::UNIX_EPOCH).ok()?;
            Some(format!("{size:x}-{:x}", since_epoch.as_secs()))
        });
    build_id.unwrap_or_else(|| "unknown".into())
}

/// The version of this crate, followed by the [source revision](revision) if it is known.
pub(crate) fn own_version() -> String {
    let version = env!("CARGO_PKG_VERSION");
    match revision() {
        Some(revision) => format!("{version} ({revision})"),
        None => version.to_owned(),
    }
}

/// The source revision that this program was built from, if `BUILD_REVISION` was set for the
/// compiler. The Dockerfile sets it.
pub(crate) fn revision() -> Option<&'static str> {
    option_env!("BUILD_REVISION").filter(|revision| !revision.is_empty())
}
