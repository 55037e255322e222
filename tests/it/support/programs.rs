//! The programs under test, started without the settings in the environment of the tests.

use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
    process::Command,
};

/// The path of the binary under test.
pub(crate) const FLEET: &str = env!("CARGO_BIN_EXE_fleet");

/// Returns the path of an example. `cargo test` builds the examples beside the binary; `cargo test
/// --test it` does not.
pub(crate) fn example(name: &str) -> PathBuf {
    let path = Path::new(FLEET).with_file_name("examples").join(name);
    assert!(path.exists(), "no {}: run cargo build --examples", path.display());
    path
}

/// The prefixes of variables that a program under test must not inherit: the caller's own settings for
/// fleet and Temporal, and the package variables that cargo sets for a test. The build script of ring
/// reads the latter, so that a nested cargo would see a change and build half of the tree again while
/// the outer cargo uses it.
const NOT_INHERITED: [&str; 8] = [
    "FLEET_",
    "TEMPORAL_",
    "OTEL_",
    "TRACE",
    "RUST_LOG",
    "CARGO_PKG_",
    "CARGO_MANIFEST_",
    "CARGO_PRIMARY_PACKAGE",
];

/// Returns a command for a program, without the variables of [`NOT_INHERITED`].
pub(crate) fn program(path: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(path);
    #[expect(clippy::disallowed_methods, reason = "to leave out what must not be inherited")]
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if NOT_INHERITED.iter().any(|prefix| text.starts_with(prefix)) {
            command.env_remove(name);
        }
    }
    command
}
