//! The context that every command is run with, and steps that several commands share.

use std::{future::Future, time::Duration};

use crate::{
    cli::Globals,
    config::{Config, environment::Environment, layers::Overrides, show},
    error::{CommandError, Exit},
    fleet::Fleet,
    process::shutdown::Shutdown,
    telemetry::LogOptions,
    user_code::label,
};

/// What every command is given.
pub(super) struct Context<'a> {
    pub(super) fleet: &'a Fleet,
    pub(super) environment: Environment,
    pub(super) shutdown: Shutdown,
    /// The program's name, for messages that say what to type.
    pub(super) bin: String,
    pub(super) globals: Globals,
}

impl Context<'_> {
    /// Resolves the settings, with the flags of every command and those in `flags`.
    pub(super) fn config(&self, mut flags: Overrides) -> Result<Config, CommandError> {
        let mut environment = self.environment.clone();
        if let Some(filter) = &self.globals.log {
            environment.set("RUST_LOG", filter);
        }
        flags.extend(self.globals.log_format.map(|format| ("log_format", format.to_string())));
        Ok(self.fleet.config_with(self.globals.config.as_deref(), &environment, &flags)?)
    }

    /// Runs `work`. If a stop is requested first, the work is dropped and the result is `None`.
    pub(super) async fn unless_stopped<T, E: Into<CommandError>>(
        &self,
        work: impl Future<Output = Result<T, E>>,
    ) -> Result<Option<T>, CommandError> {
        tokio::select! {
            // A Ctrl-C also ends what the work has started in this terminal, such as pip. That is no failure then.
            biased;
            () = self.shutdown.requested() => Ok(None),
            done = work => done.map(Some).map_err(Into::into),
        }
    }

    /// How a command exits that a signal has stopped before it was done.
    pub(super) fn stopped(&self) -> Exit {
        Exit::Other(self.shutdown.exit_code())
    }
}

/// How a process writes its log. `default_filter` applies if `RUST_LOG` is not set.
pub(super) fn log_options<'a>(config: &'a Config, default_filter: &'a str) -> LogOptions<'a> {
    LogOptions {
        format: config.log_format,
        filter: config.environment.get("RUST_LOG"),
        default_filter,
        worker: None,
        colour: config.environment.get("NO_COLOR").is_none(),
    }
}

/// The settings that `--connect-timeout` overrides, for commands without other flags for settings.
pub(super) fn connect_overrides(timeout: Option<Duration>) -> Overrides {
    timeout.map(|timeout| ("connect_timeout", show(timeout))).into_iter().collect()
}

/// Applies the settings that hold for the whole life of the process.
pub(super) fn settle(config: &Config) {
    label::set_style(config.worker_label);
}
