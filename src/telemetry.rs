//! Logs: on stderr, filtered by `RUST_LOG`, as text or as JSON.

use std::io::{self, IsTerminal, Write};

use tracing_subscriber::{EnvFilter, fmt::MakeWriter};

use crate::{
    config::{Config, LogFormat},
    progress,
};

/// Installs the global subscriber. `default_filter` holds where `RUST_LOG` is unset; `name` marks
/// each line, to tell the workers of one terminal apart.
pub(crate) fn install(config: &Config, default_filter: &str, name: Option<&str>) {
    let environment = &config.environment;
    let filter = EnvFilter::new(environment.get("RUST_LOG").unwrap_or(default_filter));
    let colour = io::stderr().is_terminal() && environment.get("NO_COLOR").is_none();
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(colour)
        .with_writer(Marked::new(name, config.log_format))
        // Its own complaint would go to a stderr that may be gone, with a panic.
        .log_internal_errors(false);
    // A program that embeds the library may have installed its own; then that one serves.
    let _ = match config.log_format {
        LogFormat::Text => tracing::subscriber::set_global_default(log.finish()),
        LogFormat::Json => {
            tracing::subscriber::set_global_default(log.json().flatten_event(true).finish())
        }
    };
}

/// Standard error, with a mark before each event (an event is one write).
struct Marked {
    mark: String,
    /// How much of an event the mark replaces: of a JSON object its brace.
    replaces: usize,
}

impl Marked {
    fn new(name: Option<&str>, format: LogFormat) -> Self {
        match (name, format) {
            (None, _) => Self { mark: String::new(), replaces: 0 },
            (Some(name), LogFormat::Text) => Self { mark: format!("{name} | "), replaces: 0 },
            (Some(name), LogFormat::Json) => {
                let name = serde_json::Value::from(name);
                Self { mark: format!("{{\"worker\":{name},"), replaces: 1 }
            }
        }
    }
}

impl<'a> MakeWriter<'a> for Marked {
    type Writer = MarkedWriter<'a>;

    fn make_writer(&'a self) -> Self::Writer {
        MarkedWriter(self)
    }
}

struct MarkedWriter<'a>(&'a Marked);

impl Write for MarkedWriter<'_> {
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        let Marked { mark, replaces } = self.0;
        let line = [mark.as_bytes(), event.get(*replaces..).unwrap_or_default()].concat();
        progress::aside(|| io::stderr().lock().write_all(&line))?;
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().lock().flush()
    }
}
