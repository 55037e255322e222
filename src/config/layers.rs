//! The layers that settings come from, merged: defaults, then `fleet.toml`, then the environment, then flags, each
//! overriding the one before.
//!
//! What the settings are stands in [`super::settings`]; here a setting is a key with a variable and a text.

use std::{
    collections::HashMap,
    fmt,
    num::NonZeroUsize,
    path::{Path, PathBuf},
};

use config::{File, FileFormat, Value};
use toml::de::DeTable;

use super::{
    environment::Environment,
    file,
    problems::{ConfigError, Problems, unknown},
    vars::{CONFIG_VAR, Var},
};
use crate::text::place;

/// The defaults that a fleet's program sets, and what else it declares about its settings.
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

impl Defaults {
    /// The settings whose default is the program's.
    fn settings(&self) -> [(&'static str, String); 3] {
        [
            ("workflow_task_queue", self.workflow_task_queue.clone()),
            ("activity_task_queue", self.activity_task_queue.clone()),
            ("activity_threads", self.activity_threads.to_string()),
        ]
    }
}

/// Settings given as flags: the key of a setting and its value.
pub(crate) type Overrides = Vec<(&'static str, String)>;

/// The file that is read if it exists and no other file is named.
const DEFAULT_FILE: &str = "fleet.toml";

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
pub(super) struct Layers {
    vars: &'static [Var],
    merged: HashMap<String, Value>,
    sources: HashMap<&'static str, Source>,
    problems: Problems,
    /// The file that was read, if any.
    pub(super) file: Option<PathBuf>,
}

impl Layers {
    /// Merges the layers of the settings `vars`. `file` is the one that a flag names.
    pub(super) fn merge(
        vars: &'static [Var],
        defaults: &Defaults,
        file: Option<&Path>,
        environment: &Environment,
        flags: &Overrides,
    ) -> Self {
        let mut layers = Self {
            vars,
            merged: HashMap::new(),
            sources: HashMap::new(),
            problems: Problems::default(),
            file: None,
        };
        let from_file = layers.read_file(file, environment);
        layers.refuse_unknown_variables(environment, &defaults.known_variables);
        let from_environment: HashMap<String, String> = vars
            .iter()
            .filter_map(|var| Some((var.key.to_owned(), environment.get(var.env)?.to_owned())))
            .collect();
        layers.note_sources(&from_file, &from_environment, flags);
        match layers.combine(defaults, from_file, from_environment, flags) {
            Ok(merged) => layers.merged = merged,
            Err(error) => layers.complain("settings", "all", error),
        }
        layers
    }

    fn note_sources(
        &mut self,
        from_file: &HashMap<String, Value>,
        from_environment: &HashMap<String, String>,
        flags: &Overrides,
    ) {
        for var in self.vars {
            let source = if flags.iter().any(|(key, _)| *key == var.key) {
                Source::Flag
            } else if from_environment.contains_key(var.key) {
                Source::Environment
            } else if let (true, Some(file)) = (from_file.contains_key(var.key), &self.file) {
                Source::File(file.clone())
            } else {
                Source::Default
            };
            self.sources.insert(var.key, source);
        }
    }

    fn combine(
        &self,
        defaults: &Defaults,
        from_file: HashMap<String, Value>,
        from_environment: HashMap<String, String>,
        flags: &Overrides,
    ) -> Result<HashMap<String, Value>, config::ConfigError> {
        let mut builder = config::Config::builder();
        for var in self.vars.iter().filter(|var| var.has_literal_default()) {
            builder = builder.set_default(var.key, var.default)?;
        }
        for (key, value) in defaults.settings() {
            builder = builder.set_default(key, value)?;
        }
        for (key, value) in from_file {
            builder = builder.set_default(key, value)?;
        }
        builder = builder.add_source(config::Environment::default().source(Some(from_environment)));
        for (key, value) in flags {
            builder = builder.set_override(key, value.as_str())?;
        }
        builder.build()?.try_deserialize()
    }

    /// Reads the file that a flag or the environment names, which must exist, or else the default one if it exists.
    /// Keys that are no settings are problems.
    fn read_file(
        &mut self,
        named: Option<&Path>,
        environment: &Environment,
    ) -> HashMap<String, Value> {
        let default = Path::new(DEFAULT_FILE);
        let path = match named.or_else(|| environment.get(CONFIG_VAR).map(Path::new)) {
            Some(path) => path,
            None if default.exists() => default,
            None => return HashMap::new(),
        };
        self.file = Some(path.to_owned());
        let values = match file::read_text(path) {
            Ok(text) => {
                parse_file(&text).map_err(|error| (path.display().to_string(), "file", error))
            }
            Err(error) => {
                let shown = path.display().to_string();
                let (what, source) = match (named, environment.get(CONFIG_VAR)) {
                    (Some(_), _) => (format!("--config={shown:?}"), "flag"),
                    (None, Some(_)) => (format!("{CONFIG_VAR}={shown:?}"), "environment"),
                    (None, None) => (shown, "file"),
                };
                Err((what, source, format!("cannot read it: {error}")))
            }
        };
        let mut values = values.unwrap_or_else(|(what, source, error)| {
            self.complain(what, source, error);
            HashMap::new()
        });
        let vars = self.vars;
        let known = || vars.iter().filter(|var| var.in_file()).map(|var| var.key);
        let mut keys: Vec<_> = values.keys().cloned().collect();
        keys.sort();
        for key in keys {
            if !known().any(|known| known == key) {
                self.complain(&key, path.display(), unknown(&key, known()));
                values.remove(&key);
            }
        }
        values
    }

    fn refuse_unknown_variables(&mut self, environment: &Environment, declared: &[String]) {
        for name in environment.unreadable() {
            self.complain(name, Source::Environment, "its value is not Unicode");
        }
        let vars = self.vars;
        let known = || vars.iter().map(|var| var.env).chain([CONFIG_VAR]);
        for name in environment.names().filter(|name| name.starts_with("FLEET_")) {
            let is_known =
                known().any(|known| known == name) || declared.iter().any(|own| own == name);
            if !is_known && !is_service_link(name) {
                self.complain(name, Source::Environment, unknown(name, known()));
            }
        }
    }

    /// Parses a setting; `None` if it is not set, or if it now has a problem.
    pub(super) fn parse<T, E: fmt::Display>(
        &mut self,
        key: &'static str,
        rule: impl Fn(&str) -> Result<T, E>,
    ) -> Option<T> {
        let value = self.merged.get(key)?.clone();
        let Ok(text) = value.into_string() else {
            self.complain(key, self.source(key), "expected a single value");
            return None;
        };
        rule(&text).map_err(|broken| self.problem(key, broken)).ok()
    }

    /// Where the value of a setting came from.
    pub(super) fn source(&self, key: &str) -> Source {
        self.sources.get(key).cloned().unwrap_or(Source::Default)
    }

    /// Adds a problem with a setting, under the name that the setting has where its value came from.
    pub(super) fn problem(&mut self, key: &'static str, rule: impl fmt::Display) {
        let value = self.merged.get(key).map(ToString::to_string).unwrap_or_default();
        let source = self.source(key);
        let name = match &source {
            Source::Flag => format!("--{}", key.replace('_', "-")),
            Source::File(_) => key.to_owned(),
            Source::Environment | Source::Default => {
                let var = self.vars.iter().find(|var| var.key == key);
                var.map_or(key, |var| var.env).to_owned()
            }
        };
        self.complain(format_args!("{name}={value:?}"), source, rule);
    }

    /// Adds a problem with something other than a setting's value.
    pub(super) fn complain(
        &mut self,
        what: impl fmt::Display,
        source: impl fmt::Display,
        rule: impl fmt::Display,
    ) {
        self.problems.add(what, source, rule);
    }

    /// # Errors
    /// The problems, if there are any.
    pub(super) fn into_problems(self) -> Result<(), ConfigError> {
        self.problems.into_result()
    }
}

/// The settings in a file. An error has the place, and never the text there: somebody may have put a secret there.
fn parse_file(text: &str) -> Result<HashMap<String, Value>, String> {
    if let Err(error) = DeTable::parse(text) {
        let at = error.span().map_or(0, |span| span.start);
        return Err(format!("not valid TOML at {}: {}", place(text, at), error.message()));
    }
    config::Config::builder()
        .add_source(File::from_str(text, FileFormat::Toml))
        .build()
        .and_then(config::Config::try_deserialize)
        .map_err(|error| error.to_string())
}

/// Whether Kubernetes may have set a variable of this name for a service called `fleet-…`. It does so in every pod of
/// the service's namespace, unless `enableServiceLinks` is off.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_not_toml_is_reported_by_place_without_its_text() {
        for text in ["role = \"worker\"\nkey = s3cr3t", "a = \"s3cr3t\nb", "[s3cr3t"] {
            let error = parse_file(text).unwrap_err();
            assert!(error.starts_with("not valid TOML at line "), "{error}");
            assert!(!error.contains("s3cr3t") && !error.contains('\n'), "{error}");
        }
    }

    #[test]
    fn variables_that_kubernetes_sets_for_a_service_are_accepted() {
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
}
