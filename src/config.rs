//! Settings: where they come from, what they may be, what they are.
//!
//! Defaults, then the environment's `FLEET_*` variables, then flags, each overriding the one
//! before. Everything is parsed at start-up and every problem is reported at once; past this module
//! there are durations, numbers and roles, no strings to interpret.
//!
//! This is the only place that reads the process environment ([`Environment::capture`]). The
//! connection itself is described by Temporal's own variables (`TEMPORAL_ADDRESS`, …), which
//! [`crate::client`] reads from the same captured [`Environment`].

use std::{
    collections::{BTreeMap, HashMap},
    ffi::{OsStr, OsString},
    fmt,
    num::NonZeroUsize,
    path::PathBuf,
    str::FromStr,
    time::Duration,
};

use crate::{label::LabelStyle, role::Role};

/// One setting: its key, its environment variable, its default and what it means.
#[derive(Debug)]
#[non_exhaustive]
pub struct Var {
    /// The key: the variable's name without the prefix, in lower case.
    pub key: &'static str,
    /// The environment variable.
    pub env: &'static str,
    /// The default as text; empty where there is none.
    pub default: &'static str,
    /// What it means, in one line.
    pub meaning: &'static str,
}

macro_rules! vars {
    ($($key:literal $env:literal $default:literal $meaning:literal;)*) => {
        /// Every `FLEET_*` variable.
        pub const VARS: &[Var] = &[$(Var {
            key: $key, env: $env, default: $default, meaning: $meaning,
        }),*];
    };
}

vars! {
    "role" "FLEET_ROLE" ""
        "What this process is: workflow-worker, activity-worker or worker (both on one queue)";
    "workflow_task_queue" "FLEET_WORKFLOW_TASK_QUEUE" "<fleet>-workflows"
        "The task queue of workflows (and of everything in role worker)";
    "activity_task_queue" "FLEET_ACTIVITY_TASK_QUEUE" "<fleet>-activities"
        "The task queue of activities";
    "max_concurrent_workflow_tasks" "FLEET_MAX_CONCURRENT_WORKFLOW_TASKS" "2"
        "Workflow tasks in hand at a time, per worker; all run on one thread";
    "max_concurrent_activities" "FLEET_MAX_CONCURRENT_ACTIVITIES" "100"
        "Activities running at a time, per worker";
    "workflow_task_pollers" "FLEET_WORKFLOW_TASK_POLLERS" "2"
        "Open polls for workflow tasks, per worker; at least 2 (normal and sticky queue)";
    "activity_task_pollers" "FLEET_ACTIVITY_TASK_POLLERS" "5"
        "Open polls for activity tasks, per worker";
    "max_cached_workflows" "FLEET_MAX_CACHED_WORKFLOWS" "1000"
        "Workflows kept in memory between tasks (sticky cache), per worker; 0 replays every task";
    "drain_timeout" "FLEET_DRAIN_TIMEOUT" "20s"
        "How long a stopped worker may finish what it has in hand";
    "activity_grace" "FLEET_ACTIVITY_GRACE" "drain timeout - 5s"
        "When a stopped worker cancels the activities that still run";
    "connect_timeout" "FLEET_CONNECT_TIMEOUT" "60s"
        "How long to keep trying to reach Temporal and to find the namespace";
    "worker_label" "FLEET_WORKER_LABEL" "auto"
        "How results name a worker: pid, pid@host, or auto (pid, but 1@host for pid 1)";
    "temporal_cli" "FLEET_TEMPORAL_CLI" ""
        "The Temporal CLI to run the dev server with; default: on PATH, in the cache, or fetched";
}

/// The process environment, captured once and passed in.
///
/// It has no `Debug` on purpose: it may hold an API key.
#[derive(Clone, Default)]
pub struct Environment {
    variables: BTreeMap<String, String>,
    /// What is not Unicode: no setting of ours, but children are to have it too.
    others: Vec<(OsString, OsString)>,
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

    /// The same environment, pointed at another Temporal server: without any `TEMPORAL_*`
    /// variable (a cloud profile's TLS or key must not reach a local dev server) nor the user's
    /// configuration file.
    pub(crate) fn pointed_at(&self, address: &str) -> Self {
        let mut there = self.clone();
        there.variables.retain(|name, _| !name.starts_with(TEMPORAL_PREFIX));
        there.variables.insert("TEMPORAL_ADDRESS".into(), address.into());
        there.variables.insert("TEMPORAL_CONFIG_FILE".into(), "/dev/null".into());
        there
    }

    /// The variables that describe the connection, as Temporal's envconfig wants them.
    pub(crate) fn temporal(&self) -> HashMap<String, String> {
        self.variables
            .iter()
            .filter(|(name, value)| name.starts_with(TEMPORAL_PREFIX) && !value.is_empty())
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect()
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

const TEMPORAL_PREFIX: &str = "TEMPORAL_";

/// The settings of a fleet's process, resolved.
#[derive(Clone)]
#[non_exhaustive]
pub struct Config {
    /// The fleet's name: the default queues start with it.
    pub fleet: String,
    /// This process's role, where one is set.
    pub role: Option<Role>,
    /// The task queue of workflows.
    pub workflow_task_queue: String,
    /// The task queue of activities.
    pub activity_task_queue: String,
    /// Workflow tasks in hand at a time, per worker.
    pub max_concurrent_workflow_tasks: NonZeroUsize,
    /// Activities running at a time, per worker.
    pub max_concurrent_activities: NonZeroUsize,
    /// Open polls for workflow tasks, per worker.
    pub workflow_task_pollers: NonZeroUsize,
    /// Open polls for activity tasks, per worker.
    pub activity_task_pollers: NonZeroUsize,
    /// Workflows kept in memory between tasks, per worker.
    pub max_cached_workflows: usize,
    /// How long a stopped worker may finish what it has in hand.
    pub drain_timeout: Duration,
    /// When a stopped worker cancels the activities that still run; shorter than `drain_timeout`.
    pub activity_grace: Duration,
    /// How long to keep trying to reach Temporal and to find the namespace.
    pub connect_timeout: Duration,
    /// How results name a worker.
    pub worker_label: LabelStyle,
    /// The Temporal CLI to use, where one is named.
    pub temporal_cli: Option<PathBuf>,
    /// The environment the settings came from: describes the connection, and is handed to children.
    pub environment: Environment,
}

/// What a fleet's code, rather than its environment, says of its settings.
#[derive(Clone, Debug)]
pub(crate) struct Defaults {
    pub(crate) fleet: String,
    pub(crate) workflow_task_queue: String,
    pub(crate) activity_task_queue: String,
}

/// Settings given as flags: a key of [`VARS`] and its value.
pub(crate) type Overrides = Vec<(&'static str, String)>;

impl Config {
    /// Resolves the settings: `defaults`, overridden by `environment`, overridden by `flags`.
    ///
    /// # Errors
    /// Every problem in one [`ConfigError`].
    pub(crate) fn resolve(
        defaults: &Defaults,
        environment: Environment,
        flags: &Overrides,
    ) -> Result<Self, ConfigError> {
        let mut settings = Settings::layer(defaults, &environment, flags)?;
        let count = |text: &str| text.parse::<NonZeroUsize>().map_err(|_| WHOLE_NUMBER_FROM_1);
        let two_or_more = |text: &str| match text.parse::<NonZeroUsize>() {
            Ok(number) if number.get() >= 2 => Ok(number),
            _ => Err("expected a whole number, 2 or more"),
        };
        let any_count = |text: &str| text.parse::<usize>().map_err(|_| "expected a whole number");
        let queue = |text: &str| Ok::<_, &str>(text.to_owned());

        let role = settings.optional("role", str::parse::<Role>);
        let workflow_task_queue = settings.required("workflow_task_queue", queue);
        let activity_task_queue = settings.required("activity_task_queue", queue);
        let workflow_tasks = settings.required("max_concurrent_workflow_tasks", count);
        let activities = settings.required("max_concurrent_activities", count);
        let workflow_task_pollers = settings.required("workflow_task_pollers", two_or_more);
        let activity_task_pollers = settings.required("activity_task_pollers", count);
        let max_cached_workflows = settings.required("max_cached_workflows", any_count);
        let drain_timeout = settings.required("drain_timeout", parse_duration);
        let activity_grace = settings.optional("activity_grace", parse_duration);
        let connect_timeout = settings.required("connect_timeout", parse_duration);
        let worker_label = settings.required("worker_label", str::parse::<LabelStyle>);
        let temporal_cli =
            settings.optional("temporal_cli", |text| Ok::<_, &str>(PathBuf::from(text)));

        if let (Some(drain), Some(grace)) = (drain_timeout, activity_grace)
            && grace >= drain
        {
            let too_long = format!("must be shorter than FLEET_DRAIN_TIMEOUT ({})", show(drain));
            settings.problem("activity_grace", too_long);
        }
        let config = (|| {
            let drain_timeout = drain_timeout?;
            Some(Self {
                fleet: defaults.fleet.clone(),
                role,
                workflow_task_queue: workflow_task_queue?,
                activity_task_queue: activity_task_queue?,
                max_concurrent_workflow_tasks: workflow_tasks?,
                max_concurrent_activities: activities?,
                workflow_task_pollers: workflow_task_pollers?,
                activity_task_pollers: activity_task_pollers?,
                max_cached_workflows: max_cached_workflows?,
                drain_timeout,
                activity_grace: activity_grace.unwrap_or_else(|| default_grace(drain_timeout)),
                connect_timeout: connect_timeout?,
                worker_label: worker_label?,
                temporal_cli,
                environment,
            })
        })();
        match config {
            Some(config) if settings.problems.is_empty() => Ok(config),
            _ => Err(ConfigError(settings.problems)),
        }
    }

    /// These settings for another server.
    pub(crate) fn pointed_at(&self, address: &str) -> Self {
        Self { environment: self.environment.pointed_at(address), ..self.clone() }
    }

    /// The `FLEET_*` variables that give a child process in `role` these very settings.
    pub(crate) fn for_child(&self, role: Role) -> Vec<(&'static str, String)> {
        let values = [
            ("role", role.to_string()),
            ("workflow_task_queue", self.workflow_task_queue.clone()),
            ("activity_task_queue", self.activity_task_queue.clone()),
            ("max_concurrent_workflow_tasks", self.max_concurrent_workflow_tasks.to_string()),
            ("max_concurrent_activities", self.max_concurrent_activities.to_string()),
            ("workflow_task_pollers", self.workflow_task_pollers.to_string()),
            ("activity_task_pollers", self.activity_task_pollers.to_string()),
            ("max_cached_workflows", self.max_cached_workflows.to_string()),
            ("drain_timeout", show(self.drain_timeout)),
            ("activity_grace", show(self.activity_grace)),
            ("connect_timeout", show(self.connect_timeout)),
            ("worker_label", self.worker_label.to_string()),
        ];
        values.into_iter().map(|(key, value)| (var(key).env, value)).collect()
    }
}

const WHOLE_NUMBER_FROM_1: &str = "expected a whole number, 1 or more";

/// The layers, merged, and the problems found in them so far.
struct Settings {
    merged: config::Config,
    flags: Vec<&'static str>,
    problems: Vec<Problem>,
}

impl Settings {
    fn layer(
        defaults: &Defaults,
        environment: &Environment,
        flags: &Overrides,
    ) -> Result<Self, ConfigError> {
        let fleet_vars: HashMap<String, String> = VARS
            .iter()
            .filter_map(|var| Some((var.env.to_owned(), environment.get(var.env)?.to_owned())))
            .collect();
        let merge = || {
            let mut layers = config::Config::builder();
            for var in VARS.iter().filter(|var| is_literal(var.default)) {
                layers = layers.set_default(var.key, var.default)?;
            }
            layers = layers
                .set_default("workflow_task_queue", defaults.workflow_task_queue.as_str())?
                .set_default("activity_task_queue", defaults.activity_task_queue.as_str())?
                .add_source(config::Environment::with_prefix("FLEET").source(Some(fleet_vars)));
            for (key, value) in flags {
                layers = layers.set_override(key, value.as_str())?;
            }
            layers.build()
        };
        let merged = merge().map_err(|error: config::ConfigError| {
            ConfigError(vec![Problem {
                setting: "settings".into(),
                source: "merging",
                rule: error.to_string(),
            }])
        })?;
        Ok(Self {
            merged,
            flags: flags.iter().map(|(key, _)| *key).collect(),
            problems: Vec::new(),
        })
    }

    /// A setting that may be absent.
    fn optional<T, E: fmt::Display>(
        &mut self,
        key: &'static str,
        parse: impl Fn(&str) -> Result<T, E>,
    ) -> Option<T> {
        let text = self.merged.get_string(key).ok()?;
        match parse(&text) {
            Ok(value) => Some(value),
            Err(rule) => {
                self.problem(key, rule.to_string());
                None
            }
        }
    }

    /// A setting with a default: absent only where it could not be parsed.
    fn required<T, E: fmt::Display>(
        &mut self,
        key: &'static str,
        parse: impl Fn(&str) -> Result<T, E>,
    ) -> Option<T> {
        self.optional(key, parse)
    }

    fn problem(&mut self, key: &'static str, rule: String) {
        let value = self.merged.get_string(key).unwrap_or_default();
        let var = var(key);
        let (name, source) = if self.flags.contains(&key) {
            (format!("--{}", key.replace('_', "-")), "flag")
        } else {
            (var.env.to_owned(), "environment")
        };
        self.problems.push(Problem { setting: format!("{name}={value:?}"), source, rule });
    }
}

/// Whether a default in [`VARS`] is a value, and not a description of one.
fn is_literal(default: &str) -> bool {
    !default.is_empty() && !default.contains([' ', '<'])
}

fn var(key: &str) -> &'static Var {
    VARS.iter().find(|var| var.key == key).expect("every key in this module is in VARS")
}

/// Parses `500ms`, `3s`, `2m`, `1h 30m`.
///
/// # Errors
/// The rule, for a message. A bare number is an error: nobody can tell its unit.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, &'static str> {
    const RULE: &str = "expected a duration with its unit, as 500ms, 3s or 2m";
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(RULE);
    }
    humantime::parse_duration(text).map_err(|_| RULE)
}

/// A duration as [`parse_duration`] reads it.
pub(crate) fn show(duration: Duration) -> String {
    humantime::format_duration(duration).to_string()
}

/// Five seconds before the deadline, so that a cancelled activity can still report; half of a
/// deadline so short that this would leave nothing.
fn default_grace(drain_timeout: Duration) -> Duration {
    let margin = Duration::from_secs(5);
    drain_timeout.saturating_sub(margin).max(drain_timeout / 2)
}

#[derive(Debug)]
struct Problem {
    setting: String,
    source: &'static str,
    rule: String,
}

/// What is wrong with the settings: one line a problem, each naming setting, source and rule.
#[derive(Debug)]
pub struct ConfigError(Vec<Problem>);

impl std::error::Error for ConfigError {}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, Problem { setting, source, rule }) in self.0.iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            write!(f, "{setting} ({source}): {rule}")?;
        }
        Ok(())
    }
}

impl FromStr for Environment {
    type Err = std::convert::Infallible;

    /// Lines of `NAME=value`, as `env` prints them.
    fn from_str(lines: &str) -> Result<Self, Self::Err> {
        let pairs = lines.lines().filter_map(|line| line.trim().split_once('='));
        Ok(pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(environment: &str, flags: &Overrides) -> Result<Config, ConfigError> {
        let defaults = Defaults {
            fleet: "orders".into(),
            workflow_task_queue: "orders-workflows".into(),
            activity_task_queue: "orders-activities".into(),
        };
        Config::resolve(&defaults, environment.parse().unwrap(), flags)
    }

    #[test]
    fn an_empty_environment_gives_the_defaults() {
        let config = resolve("", &vec![]).map_err(|e| e.to_string()).unwrap();
        assert_eq!(config.role, None);
        assert_eq!(config.workflow_task_queue, "orders-workflows");
        assert_eq!(config.activity_task_queue, "orders-activities");
        assert_eq!(config.max_concurrent_workflow_tasks.get(), 2);
        assert_eq!(config.drain_timeout, Duration::from_secs(20));
        assert_eq!(config.activity_grace, Duration::from_secs(15));
    }

    #[test]
    fn flags_override_the_environment_and_the_empty_string_is_unset() {
        let environment = "FLEET_ROLE=worker\nFLEET_WORKFLOW_TASK_QUEUE=\nFLEET_DRAIN_TIMEOUT=4s";
        let flags = vec![("role", "activity-worker".to_owned())];
        let config = resolve(environment, &flags).map_err(|e| e.to_string()).unwrap();
        assert_eq!(config.role, Some(Role::ActivityWorker));
        assert_eq!(config.workflow_task_queue, "orders-workflows");
        assert_eq!(config.activity_grace, Duration::from_secs(2));
    }

    #[test]
    fn every_problem_is_reported_at_once_with_its_source_and_rule() {
        let environment =
            "FLEET_ROLE=actvity\nFLEET_DRAIN_TIMEOUT=20\nFLEET_WORKFLOW_TASK_POLLERS=1";
        let flags = vec![("activity_grace", "soon".to_owned())];
        let message = resolve(environment, &flags).err().unwrap().to_string();
        let lines: Vec<_> = message.lines().collect();
        assert_eq!(
            lines,
            [
                "FLEET_ROLE=\"actvity\" (environment): unknown role; expected workflow-worker, \
                 activity-worker or worker",
                "FLEET_WORKFLOW_TASK_POLLERS=\"1\" (environment): expected a whole number, 2 or more",
                "FLEET_DRAIN_TIMEOUT=\"20\" (environment): expected a duration with its unit, as \
                 500ms, 3s or 2m",
                "--activity-grace=\"soon\" (flag): expected a duration with its unit, as 500ms, 3s \
                 or 2m",
            ]
        );
    }

    #[test]
    fn a_grace_that_outlasts_the_drain_is_refused() {
        let environment = "FLEET_ACTIVITY_GRACE=20s";
        let message = resolve(environment, &vec![]).err().unwrap().to_string();
        assert_eq!(
            message,
            "FLEET_ACTIVITY_GRACE=\"20s\" (environment): must be shorter than FLEET_DRAIN_TIMEOUT (20s)"
        );
    }

    #[test]
    fn a_child_resolves_to_the_settings_of_its_parent() {
        let environment = "FLEET_DRAIN_TIMEOUT=1m 30s\nFLEET_MAX_CACHED_WORKFLOWS=0";
        let parent = resolve(environment, &vec![]).map_err(|e| e.to_string()).unwrap();
        let vars = parent.for_child(Role::ActivityWorker);
        let environment: Environment =
            vars.iter().map(|(k, v)| ((*k).to_owned(), v.clone())).collect();
        let defaults = Defaults {
            fleet: "other".into(),
            workflow_task_queue: "a".into(),
            activity_task_queue: "b".into(),
        };
        let child =
            Config::resolve(&defaults, environment, &vec![]).map_err(|e| e.to_string()).unwrap();
        assert_eq!(child.role, Some(Role::ActivityWorker));
        assert_eq!(child.for_child(Role::ActivityWorker), vars);
    }

    #[test]
    fn a_dev_server_sees_nothing_of_the_users_own_connection() {
        let environment: Environment =
            "TEMPORAL_API_KEY=secret\nTEMPORAL_ADDRESS=cloud:7233\nHOME=/h".parse().unwrap();
        let local = environment.pointed_at("127.0.0.1:1");
        assert_eq!(local.get("TEMPORAL_API_KEY"), None);
        assert_eq!(local.get("TEMPORAL_ADDRESS"), Some("127.0.0.1:1"));
        assert_eq!(local.get("HOME"), Some("/h"));
    }

    #[test]
    fn the_readmes_table_is_that_of_the_code() {
        let readme = include_str!("../README.md");
        for var in VARS {
            let default = match var.default {
                "" => String::new(),
                default => format!("`{default}`"),
            };
            let row = format!("| `{}` | {default} | {} |", var.env, var.meaning);
            assert!(readme.contains(&row), "no row {row}");
        }
        assert_eq!(readme.matches("\n| `FLEET_").count(), VARS.len());
    }
}
