//! The programs under test, started without the settings of whoever runs the tests.

use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
    process::Command,
};

/// The binary under test.
pub(crate) const FLEET: &str = env!("CARGO_BIN_EXE_fleet");

/// An example, which `cargo test` builds beside the binary (`cargo test --test it` does not).
pub(crate) fn example(name: &str) -> PathBuf {
    let path = Path::new(FLEET).with_file_name("examples").join(name);
    assert!(path.exists(), "no {}: run cargo build --examples", path.display());
    path
}

/// What a program under test must not inherit: the caller's own fleet and Temporal settings, and
/// what cargo tells a test of its package, which a nested cargo takes for a change (the build script
/// of ring asks for it) and builds half the tree again, under the feet of the outer one.
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

/// A program without [`NOT_INHERITED`].
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
