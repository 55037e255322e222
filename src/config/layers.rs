//! The layers that settings come from, merged: defaults, then `fleet.toml`, then the environment,
//! then flags, each overriding the one before; and the problems found in them.
//!
//! What the settings are and may be is told in [`crate::config`].

use std::{
    collections::HashMap,
    fmt,
    num::NonZeroUsize,
    path::{Path, PathBuf},
};

use config::{File, FileFormat, Value};

use super::{
    environment::Environment,
    vars::{CONFIG_VAR, VARS},
};

/// What a fleet's code, rather than its environment, says of its settings.
#[derive(Clone, Debug)]
pub(crate) struct Defaults {
    pub(crate) fleet: String,
    pub(crate) workflow_task_queue: String,
    pub(crate) activity_task_queue: String,
    pub(crate) activity_threads: NonZeroUsize,
    /// The program's version.
    pub(crate) version: String,
    /// Names of `FLEET_*` variables that are the program's own.
    pub(crate) known_variables: Vec<String>,
}

/// Settings given as flags: a key of [`VARS`] and its value.
pub(crate) type Overrides = Vec<(&'static str, String)>;

/// The file that is read where there is one and no other is named.
const USUAL_FILE: &str = "fleet.toml";

/// Where a setting's value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    Default,
    File(PathBuf),
    Environment,
    Flag,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Environment => f.write_str("environment"),
            Self::Flag => f.write_str("flag"),
        }
    }
}

/// The merged layers, and the problems found in them so far.
pub(crate) struct Settings {
    merged: HashMap<String, Value>,
    sources: HashMap<&'static str, Source>,
    problems: Vec<Problem>,
    /// The file that was read, if any.
    pub(crate) file: Option<PathBuf>,
}

impl Settings {
    /// Merges the layers. `file` is the one that a flag names; `known` are names of environment
    /// variables that begin as ours do and are the user's own.
    pub(crate) fn layer(
        defaults: &Defaults,
        file: Option<&Path>,
        environment: &Environment,
        known: &[String],
        flags: &Overrides,
    ) -> Self {
        let mut settings = Self {
            merged: HashMap::new(),
            sources: HashMap::new(),
            problems: Vec::new(),
            file: None,
        };
        let from_file = settings.read_file(file, environment);
        settings.refuse_unknown_variables(environment, known);
        let from_environment: HashMap<String, String> = VARS
            .iter()
            .filter_map(|var| Some((var.key.to_owned(), environment.get(var.env)?.to_owned())))
            .collect();
        for var in VARS {
            let source = if flags.iter().any(|(key, _)| *key == var.key) {
                Source::Flag
            } else if from_environment.contains_key(var.key) {
                Source::Environment
            } else if let (true, Some(file)) = (from_file.contains_key(var.key), &settings.file) {
                Source::File(file.clone())
            } else {
                Source::Default
            };
            settings.sources.insert(var.key, source);
        }
        let merge = || {
            let mut layers = config::Config::builder();
            for var in VARS.iter().filter(|var| var.has_literal_default()) {
                layers = layers.set_default(var.key, var.default)?;
            }
            layers = layers
                .set_default("workflow_task_queue", defaults.workflow_task_queue.as_str())?
                .set_default("activity_task_queue", defaults.activity_task_queue.as_str())?
                .set_default("activity_threads", defaults.activity_threads.to_string())?;
            for (key, value) in from_file {
                layers = layers.set_default(key, value)?;
            }
            layers =
                layers.add_source(config::Environment::default().source(Some(from_environment)));
            for (key, value) in flags {
                layers = layers.set_override(key, value.as_str())?;
            }
            layers.build()?.try_deserialize()
        };
        match merge() {
            Ok(merged) => settings.merged = merged,
            Err(error) => settings.complain("settings", "all", error),
        }
        settings
    }

    /// Reads the file that is named by flag or environment, which must be there, or else the usual
    /// one if it is there. Complains of keys that are no settings.
    fn read_file(
        &mut self,
        named: Option<&Path>,
        environment: &Environment,
    ) -> HashMap<String, Value> {
        let usual = Path::new(USUAL_FILE);
        let path = match named.or_else(|| environment.get(CONFIG_VAR).map(Path::new)) {
            Some(path) => path,
            None if usual.exists() => usual,
            None => return HashMap::new(),
        };
        self.file = Some(path.to_owned());
        let read = std::fs::read_to_string(path).map_err(|error| error.to_string());
        let parsed = read.and_then(|text| {
            config::Config::builder()
                .add_source(File::from_str(&text, FileFormat::Toml))
                .build()
                .and_then(config::Config::try_deserialize::<HashMap<String, Value>>)
                .map_err(|error| error.to_string())
        });
        let mut values = parsed.unwrap_or_else(|error| {
            self.complain(path.display(), "file", error);
            HashMap::new()
        });
        let in_file = || VARS.iter().filter(|var| var.in_file()).map(|var| var.key);
        let mut keys: Vec<_> = values.keys().cloned().collect();
        keys.sort();
        for key in keys {
            if !in_file().any(|known| known == key) {
                self.complain(&key, path.display(), unknown(&key, in_file()));
                values.remove(&key);
            }
        }
        values
    }

    fn refuse_unknown_variables(&mut self, environment: &Environment, known: &[String]) {
        for name in environment.unreadable() {
            self.complain(name, Source::Environment, "its value is not Unicode");
        }
        let ours = || VARS.iter().map(|var| var.env).chain([CONFIG_VAR]);
        for name in environment.names().filter(|name| name.starts_with("FLEET_")) {
            let is_known = ours().any(|ours| ours == name) || known.iter().any(|own| own == name);
            if !is_known && !is_service_link(name) {
                self.complain(name, Source::Environment, unknown(name, ours()));
            }
        }
    }

    /// Parses a setting; `None` where it is not set, or where there is now a problem with it.
    pub(crate) fn parse<T, E: fmt::Display>(
        &mut self,
        key: &'static str,
        parse: impl Fn(&str) -> Result<T, E>,
    ) -> Option<T> {
        let value = self.merged.get(key)?.clone();
        let Ok(text) = value.into_string() else {
            self.complain(key, self.source(key), "expected a single value");
            return None;
        };
        match parse(&text) {
            Ok(value) => Some(value),
            Err(rule) => {
                self.problem(key, rule);
                None
            }
        }
    }

    /// Where the value of a setting came from.
    pub(crate) fn source(&self, key: &str) -> Source {
        self.sources.get(key).cloned().unwrap_or(Source::Default)
    }

    /// Notes what is wrong with a setting, under the name that it has where it came from.
    pub(crate) fn problem(&mut self, key: &'static str, rule: impl fmt::Display) {
        let value = self.merged.get(key).map(ToString::to_string).unwrap_or_default();
        let source = self.source(key);
        let name = match &source {
            Source::Flag => format!("--{}", key.replace('_', "-")),
            Source::File(_) => key.to_owned(),
            Source::Environment | Source::Default => {
                let var = VARS.iter().find(|var| var.key == key);
                var.map_or(key, |var| var.env).to_owned()
            }
        };
        self.complain(format_args!("{name}={value:?}"), source, rule);
    }

    /// Notes what is wrong with something else than a setting's value.
    pub(crate) fn complain(
        &mut self,
        what: impl fmt::Display,
        source: impl fmt::Display,
        rule: impl fmt::Display,
    ) {
        // The parsers' messages have pictures of the place; here a problem is a line.
        let rule = rule.to_string();
        let rule = rule.lines().map(str::trim).filter(|line| !line.is_empty());
        let rule = rule.collect::<Vec<_>>().join(" ");
        self.problems.push(Problem(format!("{what} ({source}): {rule}")));
    }

    /// The problems so far, if any.
    pub(crate) fn problems(self) -> Result<(), ConfigError> {
        if self.problems.is_empty() { Ok(()) } else { Err(ConfigError(self.problems)) }
    }
}

/// Whether Kubernetes may have set a variable of this name for a service called `fleet-…`: it does
/// so in every pod of the service's namespace, unless `enableServiceLinks` is off.
fn is_service_link(name: &str) -> bool {
    let numbered_port = || {
        let (_, rest) = name.split_once("_PORT_")?;
        let (number, what) = rest.split_once('_')?;
        Some(number.bytes().all(|byte| byte.is_ascii_digit()) && !what.is_empty())
    };
    name.ends_with("_SERVICE_HOST")
        || name.contains("_SERVICE_PORT")
        || name.ends_with("_PORT")
        || numbered_port().unwrap_or(false)
}

pub(crate) fn unknown<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> String {
    let nearest = known
        .max_by(|a, b| strsim::jaro_winkler(name, a).total_cmp(&strsim::jaro_winkler(name, b)));
    format!("no such setting; the nearest is {}", nearest.unwrap_or_default())
}

/// What is wrong with one setting, as a line.
#[derive(Debug)]
struct Problem(String);

/// What is wrong with the settings: one line a problem, each naming setting, source and rule.
#[derive(Debug)]
pub struct ConfigError(Vec<Problem>);

impl std::error::Error for ConfigError {}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<_> = self.0.iter().map(|problem| problem.0.as_str()).collect();
        f.write_str(&lines.join("\n"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_kubernetes_sets_for_a_service_is_not_a_typing_error() {
        for name in [
            "FLEET_API_SERVICE_HOST",
            "FLEET_API_SERVICE_PORT",
            "FLEET_API_SERVICE_PORT_HTTP",
            "FLEET_API_PORT",
            "FLEET_API_PORT_80_TCP",
            "FLEET_API_PORT_80_TCP_ADDR",
        ] {
            assert!(is_service_link(name), "{name}");
        }
        for name in ["FLEET_ROLES", "FLEET_PORTS", "FLEET_API_PORT_HTTP_TCP"] {
            assert!(!is_service_link(name), "{name}");
        }
    }

    #[test]
    fn an_unknown_name_is_offered_the_nearest_known_one() {
        let known = ["FLEET_ROLE", "FLEET_DRAIN_TIMEOUT", "FLEET_CONNECT_TIMEOUT"];
        let offered = unknown("FLEET_DRAINTIMEOUT", known.into_iter());
        assert_eq!(offered, "no such setting; the nearest is FLEET_DRAIN_TIMEOUT");
    }
}
