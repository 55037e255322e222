//! Logs: on stderr, filtered by `RUST_LOG`.

use std::io::{self, IsTerminal, Write};

use tracing_subscriber::{EnvFilter, fmt::MakeWriter};

use crate::config::Environment;

/// Installs the global subscriber. `default_filter` holds where `RUST_LOG` is unset or wrong;
/// `name` starts each line, to tell the workers of one terminal apart.
pub(crate) fn install(environment: &Environment, default_filter: &str, name: Option<&str>) {
    let filter = environment
        .get("RUST_LOG")
        .and_then(|directives| EnvFilter::try_new(directives).ok())
        .unwrap_or_else(|| EnvFilter::new(default_filter));
    let colour = io::stderr().is_terminal() && environment.get("NO_COLOR").is_none();
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(colour)
        .with_writer(Prefixed(name.map(|name| format!("{name} | ")).unwrap_or_default()))
        // Its own complaint would go to a stderr that may be gone, with a panic.
        .log_internal_errors(false)
        .finish();
    // A program that embeds the library may have installed its own; then that one serves.
    let _ = tracing::subscriber::set_global_default(subscriber);
}

/// Standard error, with a prefix before each event (an event is one write).
struct Prefixed(String);

impl<'a> MakeWriter<'a> for Prefixed {
    type Writer = PrefixedWriter<'a>;

    fn make_writer(&'a self) -> Self::Writer {
        PrefixedWriter(&self.0)
    }
}

struct PrefixedWriter<'a>(&'a str);

impl Write for PrefixedWriter<'_> {
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        let mut line = Vec::with_capacity(self.0.len() + event.len());
        line.extend_from_slice(self.0.as_bytes());
        line.extend_from_slice(event);
        io::stderr().lock().write_all(&line)?;
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().lock().flush()
    }
}
