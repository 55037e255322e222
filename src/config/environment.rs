//! The process environment, as an argument.
//!
//! [`Environment::capture`] is the only place that reads it. Code that reads the environment deep inside cannot be
//! tested, and its settings do not show up in `--help`. Clippy refuses other reads.

use std::{
    collections::{BTreeMap, HashMap},
    convert::Infallible,
    ffi::{OsStr, OsString},
    fmt,
    str::FromStr,
};

const TEMPORAL_PREFIX: &str = "TEMPORAL_";
const OTEL_PREFIX: &str = "OTEL_";

/// The process environment, captured once and passed in.
///
/// Its `Debug` shows no values: they may be secrets.
#[derive(Clone, Default)]
pub struct Environment {
    variables: BTreeMap<String, String>,
    /// Variables that are not Unicode. They are no settings, but child processes get them too.
    others: Vec<(OsString, OsString)>,
}

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.variables.keys()).finish_non_exhaustive()
    }
}

impl Environment {
    /// Captures the variables of this process.
    #[must_use]
    pub fn capture() -> Self {
        #[expect(clippy::disallowed_methods, reason = "the one place that reads it")]
        let all = std::env::vars_os();
        let mut captured = Self::default();
        for (name, value) in all {
            match (name.to_str(), value.to_str()) {
                (Some(name), Some(value)) => {
                    captured.variables.insert(name.to_owned(), value.to_owned());
                }
                _ => captured.others.push((name, value)),
            }
        }
        captured
    }

    /// A variable's value; `None` where it is unset or empty.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// Sets a variable.
    pub(crate) fn set(&mut self, name: &str, value: &str) {
        self.variables.insert(name.to_owned(), value.to_owned());
    }

    /// The same environment for another Temporal server, at `address`. It has no other `TEMPORAL_*` variable and does
    /// not use the user's configuration file, because a cloud profile's TLS or key must not reach a local dev server.
    pub(crate) fn pointed_at(&self, address: &str) -> Self {
        let mut there = self.without_temporal();
        there.set("TEMPORAL_ADDRESS", address);
        there.set("TEMPORAL_CONFIG_FILE", "/dev/null");
        there
    }

    /// The same environment without any `TEMPORAL_*` variable.
    pub(crate) fn without_temporal(&self) -> Self {
        let mut without = self.clone();
        without.variables.retain(|name, _| !name.starts_with(TEMPORAL_PREFIX));
        without
    }

    /// The same environment for a program that is not ours: without any `TEMPORAL_*` or `OTEL_*` variable. Those are
    /// for our processes; Temporal's server would send its own traces to where the fleet's traces go.
    pub(crate) fn for_others(&self) -> Self {
        let mut without = self.without_temporal();
        without.variables.retain(|name, _| !name.starts_with(OTEL_PREFIX));
        without
    }

    /// The names of variables of the fleet, of Temporal or of OpenTelemetry whose values are not Unicode.
    pub(crate) fn unreadable(&self) -> impl Iterator<Item = &str> {
        let names = self.others.iter().filter_map(|(name, _)| name.to_str());
        names.filter(|name| {
            ["FLEET_", TEMPORAL_PREFIX, OTEL_PREFIX].iter().any(|prefix| name.starts_with(prefix))
        })
    }

    /// `PATH`: the folders in which programs are looked for.
    pub(crate) fn path(&self) -> Option<&OsStr> {
        let other = self.others.iter().find(|(name, _)| name == "PATH");
        self.get("PATH").map(OsStr::new).or(other.map(|(_, value)| value.as_os_str()))
    }

    /// The variables that describe the connection, as Temporal's envconfig takes them.
    pub(crate) fn temporal(&self) -> HashMap<String, String> {
        self.variables
            .iter()
            .filter(|(name, value)| {
                // An empty header takes one of the file away, as it does in Temporal's other tools.
                let is_given = !value.is_empty() || name.starts_with("TEMPORAL_GRPC_META_");
                name.starts_with(TEMPORAL_PREFIX) && is_given
            })
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect()
    }

    /// The names of the variables that are set and not empty.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.variables.keys().map(String::as_str).filter(|name| self.get(name).is_some())
    }

    /// All variables, for a child process.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&OsStr, &OsStr)> {
        let variables = self.variables.iter().map(|(name, value)| (name.as_ref(), value.as_ref()));
        variables.chain(self.others.iter().map(|(name, value)| (name.as_ref(), value.as_ref())))
    }
}

impl FromIterator<(String, String)> for Environment {
    fn from_iter<I: IntoIterator<Item = (String, String)>>(variables: I) -> Self {
        Self { variables: variables.into_iter().collect(), others: Vec::new() }
    }
}

impl FromStr for Environment {
    type Err = Infallible;

    /// Lines of `NAME=value`, as `env` prints them.
    fn from_str(lines: &str) -> Result<Self, Self::Err> {
        let pairs = lines.lines().filter_map(|line| line.split_once('='));
        Ok(pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dev_server_gets_no_setting_of_the_users_own_connection() {
        let environment: Environment =
            "TEMPORAL_API_KEY=secret\nTEMPORAL_ADDRESS=cloud:7233\nHOME=/h".parse().unwrap();
        let local = environment.pointed_at("127.0.0.1:1");
        assert_eq!(local.get("TEMPORAL_API_KEY"), None);
        assert_eq!(local.get("TEMPORAL_ADDRESS"), Some("127.0.0.1:1"));
        assert_eq!(local.get("HOME"), Some("/h"));
    }

    #[test]
    fn an_empty_variable_counts_as_unset() {
        let environment: Environment = "FLEET_ROLE=\nHOME=/h".parse().unwrap();
        assert_eq!(environment.get("FLEET_ROLE"), None);
        assert_eq!(environment.names().collect::<Vec<_>>(), ["HOME"]);
    }
}
