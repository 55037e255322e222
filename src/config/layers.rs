//! The layers that settings come from, merged: defaults, then `fleet.toml`, then the environment, then flags, each
//! overriding the one before.
//!
//! What the settings are stands in [`super::settings`]; here a setting is a key with a variable and a text.

use std::{collections::HashMap, fmt, num::NonZeroUsize};

use config::Value;

use super::{
    environment::Environment,
    groups::GroupTable,
    problems::{Problems, unknown},
    settings_file::SettingsFile,
    source::Source,
    vars::{CONFIG_VAR, Var},
};

/// The defaults that a fleet's program sets, and what else it declares about its settings.
#[derive(Clone, Debug)]
pub(crate) struct Defaults {
    pub(crate) fleet: String,
    pub(crate) workflow_task_queue: String,
    pub(crate) activity_task_queue: String,
    pub(crate) activity_threads: NonZeroUsize,
    /// The program's version.
    pub(crate) version: String,
    /// The types of the program's workflows and activities.
    pub(crate) workflow_types: Vec<String>,
    pub(crate) activity_types: Vec<String>,
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

/// The merged layers, and the problems found in them so far.
pub(super) struct Layers<'a> {
    sources: &'a Sources<'a>,
    group: Option<&'a GroupTable>,
    merged: HashMap<String, Value>,
    problems: Problems,
}

/// What is merged.
pub(super) struct Sources<'a> {
    pub(super) vars: &'static [Var],
    pub(super) defaults: &'a Defaults,
    pub(super) file: Option<&'a SettingsFile>,
    pub(super) environment: &'a Environment,
    pub(super) flags: &'a Overrides,
}

impl<'a> Layers<'a> {
    /// Merges the layers, for the workers of a group if one is given. `problems` are those found before.
    pub(super) fn merge(
        sources: &'a Sources<'a>,
        group: Option<&'a GroupTable>,
        problems: Problems,
    ) -> Self {
        let mut layers = Self { sources, group, merged: HashMap::new(), problems };
        layers.refuse_unknown_variables();
        match layers.combine() {
            Ok(merged) => layers.merged = merged,
            Err(error) => layers.complain("settings", "all", error),
        }
        layers
    }

    fn combine(&self) -> Result<HashMap<String, Value>, config::ConfigError> {
        let Sources { vars, defaults, file, environment, flags } = *self.sources;
        let mut builder = config::Config::builder();
        for var in vars.iter().filter(|var| var.has_literal_default()) {
            builder = builder.set_default(var.key, var.default)?;
        }
        for (key, value) in defaults.settings() {
            builder = builder.set_default(key, value)?;
        }
        let group = self.group.iter().flat_map(|group| &group.settings);
        for (key, value) in file.iter().flat_map(|file| &file.top).chain(group) {
            builder = builder.set_default(key, value.clone())?;
        }
        let from_environment = vars
            .iter()
            .filter_map(|var| Some((var.key.to_owned(), environment.get(var.env)?.to_owned())))
            .collect();
        builder = builder.add_source(config::Environment::default().source(Some(from_environment)));
        let own = self.group.iter().flat_map(|group| &group.own);
        for (key, value) in own.chain(flags) {
            builder = builder.set_override(key, value.as_str())?;
        }
        builder.build()?.try_deserialize()
    }

    fn refuse_unknown_variables(&mut self) {
        let Sources { vars, defaults, environment, .. } = *self.sources;
        for name in environment.unreadable() {
            self.complain(name, Source::Environment, "its value is not Unicode");
        }
        let declared = &defaults.known_variables;
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
        let text = match self.sources.vars.iter().find(|var| var.key == key) {
            Some(var) if var.is_list() => list(value),
            _ => value.into_string().map_err(|_| "expected a single value"),
        };
        let text = text.map_err(|rule| self.complain(key, self.source(key), rule)).ok()?;
        rule(&text).map_err(|broken| self.problem(key, broken)).ok()
    }

    /// Where the value of a setting came from.
    pub(super) fn source(&self, key: &str) -> Source {
        let Sources { vars, file, environment, flags, .. } = *self.sources;
        let var = vars.iter().find(|var| var.key == key);
        let of_group = |is_own: bool| {
            self.group.filter(|group| {
                let mut own = group.own.iter();
                if is_own {
                    own.any(|(own, _)| *own == key)
                } else {
                    group.settings.contains_key(key)
                }
            })
        };
        if flags.iter().any(|(flag, _)| *flag == key) {
            Source::Flag
        } else if let Some(group) = of_group(true) {
            group.source.clone()
        } else if var.is_some_and(|var| environment.get(var.env).is_some()) {
            Source::Environment
        } else if let Some(group) = of_group(false) {
            group.source.clone()
        } else if let Some(file) = file.filter(|file| file.top.contains_key(key)) {
            Source::File(file.path.clone())
        } else {
            Source::Default
        }
    }

    /// Adds a problem with a setting, under the name that the setting has where its value came from.
    pub(super) fn problem(&mut self, key: &'static str, rule: impl fmt::Display) {
        let value = self.merged.get(key).cloned();
        let value = value.map(|value| list(value.clone()).unwrap_or_else(|_| value.to_string()));
        let value = value.unwrap_or_default();
        let source = self.source(key);
        let var = self.sources.vars.iter().find(|var| var.key == key);
        let role = self.group.map(|group| group.role);
        let name = var.map_or(key.to_owned(), |var| source.name_of(var, role));
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

    /// The problems.
    pub(super) fn into_problems(self) -> Problems {
        self.problems
    }
}

/// A list as text: its values with commas between them.
fn list(value: Value) -> Result<String, &'static str> {
    const RULE: &str = "expected a list of names";
    let Ok(values) = value.clone().into_array() else {
        return value.into_string().map_err(|_| RULE);
    };
    let values: Vec<_> =
        values.into_iter().map(Value::into_string).collect::<Result<_, _>>().map_err(|_| RULE)?;
    if values.iter().any(|value| value.contains(',')) {
        return Err("expected names without commas");
    }
    Ok(values.join(","))
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
