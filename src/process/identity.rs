//! What this process is called: by Temporal, and by people who ask which build it is.

use std::time::SystemTime;

use crate::user_code::label::hostname;

/// How Temporal knows this process, in its UI and in histories: `<role>@<host>:<pid>`.
pub(crate) fn identity(role: &str, pid: u32) -> String {
    format!("{role}@{}:{pid}", hostname())
}

/// The build of a worker that no deployment names one for: the source revision where the program
/// knows it.
pub(crate) fn own_build_id() -> String {
    if let Some(revision) = revision() {
        return revision.to_owned();
    }
    let build_id = std::env::current_exe()
        .and_then(std::fs::metadata)
        .and_then(|program| Ok((program.len(), program.modified()?)))
        .ok()
        .and_then(|(size, built)| {
            let age = built.duration_since(SystemTime::UNIX_EPOCH).ok()?;
            Some(format!("{size:x}-{:x}", age.as_secs()))
        });
    build_id.unwrap_or_else(|| "unknown".into())
}

/// This crate's version and, where the build was told it, the source revision: the Dockerfile sets
/// `BUILD_REVISION` for the compiler.
pub(crate) fn own_version() -> String {
    let version = env!("CARGO_PKG_VERSION");
    match revision() {
        Some(revision) => format!("{version} ({revision})"),
        None => version.to_owned(),
    }
}

/// The source revision that this program was built from, where the build was told it.
pub(crate) fn revision() -> Option<&'static str> {
    option_env!("BUILD_REVISION").filter(|revision| !revision.is_empty())
}
