//! The settings of a fleet: what they are, what they may be, and where their values come from.
//!
//! Defaults come first, then `fleet.toml`, then the environment's `FLEET_*` variables, then flags; each overrides the
//! one before ([`layers`] merges them). Everything is parsed at start-up, and every problem is reported at once. Past
//! this module there are durations, numbers and roles, and no strings to interpret.
//!
//! [`settings`] has a row for each setting. Temporal's own variables (`TEMPORAL_ADDRESS`, …) describe the connection;
//! [`crate::temporal`] reads them from the same captured [`Environment`](environment::Environment). OpenTelemetry's own
//! variables describe the export; [`otel`] reads those.

mod as_setting;
pub(crate) mod choices;
pub(crate) mod connect;
pub(crate) mod environment;
pub(crate) mod file;
mod groups;
pub(crate) mod layers;
mod lists;
pub(crate) mod otel;
mod problems;
mod resolve;
pub(crate) mod role;
pub(crate) mod settings;
mod settings_file;
pub(crate) mod source;
pub(crate) mod toml_text;
pub(crate) mod values;
pub(crate) mod vars;

#[cfg(test)]
mod tests;

pub(crate) use self::problems::unknown;
pub(crate) use self::values::{parse_address, parse_duration, parse_name, parse_number, show};
pub use self::{
    choices::{Compression, Deployment, LogFormat, Pollers, Versioning},
    lists::{Names, Rate, TaskQueues},
    problems::ConfigError,
    settings::{Config, VARS},
};
