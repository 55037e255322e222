//! The settings of a fleet: what they are, and what they may be.
//!
//! Defaults, then `fleet.toml`, then the environment's `FLEET_*` variables, then flags, each
//! overriding the one before ([`layers`] merges them). Everything is parsed at start-up and
//! every problem is reported at once; past this module there are durations, numbers and roles, no
//! strings to interpret.
//!
//! The connection is described by Temporal's own variables (`TEMPORAL_ADDRESS`, …), which
//! [`crate::temporal`] reads from the same captured [`Environment`].

pub(crate) mod connect;
pub(crate) mod environment;
pub(crate) mod layers;
pub(crate) mod otel;
pub(crate) mod role;
pub(crate) mod vars;

use std::{
    fmt,
    net::SocketAddr,
    num::NonZeroUsize,
    path::{Path, PathBuf},
    str::FromStr,
    time::Duration,
};

use self::{
    environment::Environment,
    layers::{ConfigError, Defaults, Overrides, Settings, Source},
    role::Role,
    vars::{CONFIG_VAR, VARS, Var},
};
use crate::user_code::label::LabelStyle;

/// How many polls a worker keeps open for one kind of task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pollers {
    /// So many.
    Fixed(NonZeroUsize),
    /// As many as the server's answers suggest: the SDK's autoscaling.
    Auto,
}

impl fmt::Display for Pollers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed(number) => number.fmt(f),
            Self::Auto => f.write_str("auto"),
        }
    }
}

impl Pollers {
    /// Parses `auto` or a number of at least `least`.
    fn parse(text: &str, least: usize) -> Result<Self, String> {
        if text == "auto" {
            return Ok(Self::Auto);
        }
        let number = parse_number(text, least, MOST_POLLERS)
            .map_err(|rule| rule.replace("a whole", "auto or a whole"))?;
        Ok(Self::Fixed(NonZeroUsize::new(number).expect("at least 1")))
    }
}

/// How the log looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// Lines for people.
    #[default]
    Text,
    /// A JSON object a line.
    Json,
}

/// How messages to and from Temporal are packed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Compression {
    /// As they are. The messages of ordinary workflows are a few hundred bytes, and the SDK's default,
    /// gzip, takes a quarter of a worker's CPU time for them (docs/performance.md).
    #[default]
    None,
    /// By gzip: for large payloads over a narrow network, or one that is paid by the byte.
    Gzip,
}

/// Which version of a worker deployment a process is.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Deployment {
    /// The deployment's name.
    pub name: String,
    /// The build within it.
    pub build_id: String,
    /// What becomes of running workflows when another version is made current.
    pub behavior: Versioning,
}

/// What becomes of a running workflow when another version of its workers is made current.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Versioning {
    /// It moves to that version with its next task.
    #[default]
    AutoUpgrade,
    /// It stays with the version it started on.
    Pinned,
}

macro_rules! words {
    ($type:ident: $($word:literal => $value:ident),*) => {
        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self { $(Self::$value => $word),* })
            }
        }

        impl FromStr for $type {
            type Err = String;

            fn from_str(text: &str) -> Result<Self, String> {
                match text {
                    $($word => Ok(Self::$value),)*
                    _ => Err(format!("expected {}", [$($word),*].join(" or "))),
                }
            }
        }
    };
}

words! { LogFormat: "text" => Text, "json" => Json }
words! { Compression: "none" => None, "gzip" => Gzip }
words! { Versioning: "auto-upgrade" => AutoUpgrade, "pinned" => Pinned }

/// The settings of a fleet's process, resolved.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    /// The fleet's name: the default queues start with it.
    pub fleet: String,
    /// The program's version, for those who ask what runs.
    pub version: String,
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
    /// Threads that asynchronous activities share, per worker. With 1 they run on the thread that
    /// polls, which costs the least where they only wait.
    pub activity_threads: NonZeroUsize,
    /// Open polls for workflow tasks, per worker.
    pub workflow_task_pollers: Pollers,
    /// Open polls for activity tasks, per worker.
    pub activity_task_pollers: Pollers,
    /// Workflows kept in memory between tasks, per worker.
    pub max_cached_workflows: usize,
    /// After how many activities a worker makes its inner SDK worker anew; `None` for never.
    pub activities_per_sdk_worker: Option<NonZeroUsize>,
    /// How long a stopped worker may finish what it has in hand.
    pub drain_timeout: Duration,
    /// When a stopped worker cancels the activities that still run; shorter than `drain_timeout`.
    pub activity_grace: Duration,
    /// How long to keep trying to reach Temporal and to find the namespace.
    pub connect_timeout: Duration,
    /// How messages to and from Temporal are packed.
    pub grpc_compression: Compression,
    /// How results name a worker.
    pub worker_label: LabelStyle,
    /// The Temporal CLI to use, where one is named.
    pub temporal_cli: Option<PathBuf>,
    /// Where to answer health probes, if anywhere.
    pub health_addr: Option<SocketAddr>,
    /// How the log looks.
    pub log_format: LogFormat,
    /// The version of a worker deployment that this process is, if any.
    pub deployment: Option<Deployment>,
    /// The environment the settings came from: describes the connection, and is handed to children.
    pub environment: Environment,
    /// What is exported, by OpenTelemetry's own variables.
    pub(crate) telemetry: otel::Settings,
    /// The settings' file that was read, if any.
    pub(crate) file: Option<PathBuf>,
    /// The behaviour of versioned workers, also where there is no deployment.
    behavior: Versioning,
    sources: Vec<(&'static Var, Source)>,
}

impl Config {
    /// Resolves the settings: `defaults`, overridden by the file, by `environment`, by `flags`.
    ///
    /// # Errors
    /// Every problem in one [`ConfigError`].
    pub(crate) fn resolve(
        defaults: &Defaults,
        file: Option<&Path>,
        environment: Environment,
        flags: &Overrides,
    ) -> Result<Self, ConfigError> {
        let known = &defaults.known_variables;
        let mut settings = Settings::layer(defaults, file, &environment, known, flags);
        let one_to = |most: usize| {
            move |text: &str| {
                parse_number(text, 1, most).map(|it| NonZeroUsize::new(it).expect("1 or more"))
            }
        };

        let role = settings.parse("role", str::parse::<Role>);
        let workflow_task_queue = settings.parse("workflow_task_queue", parse_name);
        let activity_task_queue = settings.parse("activity_task_queue", parse_name);
        let workflow_tasks = settings.parse("max_concurrent_workflow_tasks", one_to(MOST_SLOTS));
        let activities = settings.parse("max_concurrent_activities", one_to(MOST_SLOTS));
        let activity_threads = settings.parse("activity_threads", one_to(MOST_THREADS));
        let workflow_task_pollers =
            settings.parse("workflow_task_pollers", |text| Pollers::parse(text, 2));
        let activity_task_pollers =
            settings.parse("activity_task_pollers", |text| Pollers::parse(text, 1));
        let max_cached_workflows =
            settings.parse("max_cached_workflows", |text| parse_number(text, 0, MOST_SLOTS));
        let activities_per_sdk_worker = settings
            .parse("activities_per_sdk_worker", |text| parse_number(text, 0, MOST_ACTIVITIES));
        let drain_timeout = settings.parse("drain_timeout", parse_duration);
        let activity_grace = settings.parse("activity_grace", parse_duration);
        let connect_timeout = settings.parse("connect_timeout", parse_duration);
        let grpc_compression = settings.parse("grpc_compression", str::parse::<Compression>);
        let worker_label = settings.parse("worker_label", str::parse::<LabelStyle>);
        let temporal_cli = settings.parse("temporal_cli", |text| Ok::<_, &str>(text.into()));
        let health_addr = settings.parse("health_addr", parse_address);
        let log_format = settings.parse("log_format", str::parse::<LogFormat>);
        let behavior = settings.parse("versioning_behavior", str::parse::<Versioning>);
        let deployment_name = settings.parse("deployment_name", parse_name);
        let build_id = settings.parse("worker_build_id", parse_name);

        if drain_timeout.is_some_and(|drain| drain.is_zero()) {
            settings.problem("drain_timeout", "must be longer than nothing");
        } else if let (Some(drain), Some(grace)) = (drain_timeout, activity_grace)
            && grace >= drain
        {
            let rule = format!("must be shorter than the drain timeout ({})", show(drain));
            settings.problem("activity_grace", rule);
        }
        for (one, other, key, missing) in [
            (&deployment_name, &build_id, "deployment_name", "TEMPORAL_WORKER_BUILD_ID"),
            (&build_id, &deployment_name, "worker_build_id", "TEMPORAL_DEPLOYMENT_NAME"),
        ] {
            if one.is_some() && other.is_none() {
                settings.problem(key, format!("a versioned worker needs {missing} too"));
            }
        }
        if let Some(directives) = environment.get("RUST_LOG")
            && let Err(error) = tracing_subscriber::EnvFilter::try_new(directives)
        {
            let what = format!("RUST_LOG={directives:?}");
            settings.complain(what, Source::Environment, format!("not a log filter: {error}"));
        }
        let (telemetry, problems) = otel::Settings::read(&environment);
        for (what, rule) in problems {
            settings.complain(what, Source::Environment, rule);
        }

        let sources = VARS.iter().map(|var| (var, settings.source(var.key))).collect();
        let file = settings.file.clone();
        settings.problems()?;
        let config = || {
            let drain_timeout = drain_timeout?;
            let behavior = behavior?;
            Some(Self {
                fleet: defaults.fleet.clone(),
                version: defaults.version.clone(),
                role,
                workflow_task_queue: workflow_task_queue?,
                activity_task_queue: activity_task_queue?,
                max_concurrent_workflow_tasks: workflow_tasks?,
                max_concurrent_activities: activities?,
                activity_threads: activity_threads?,
                workflow_task_pollers: workflow_task_pollers?,
                activity_task_pollers: activity_task_pollers?,
                max_cached_workflows: max_cached_workflows?,
                activities_per_sdk_worker: NonZeroUsize::new(activities_per_sdk_worker?),
                drain_timeout,
                activity_grace: activity_grace.unwrap_or_else(|| default_grace(drain_timeout)),
                connect_timeout: connect_timeout?,
                grpc_compression: grpc_compression?,
                worker_label: worker_label?,
                temporal_cli,
                health_addr,
                log_format: log_format?,
                deployment: deployment_name.zip(build_id).map(|(name, build_id)| Deployment {
                    name,
                    build_id,
                    behavior,
                }),
                behavior,
                environment,
                telemetry,
                file,
                sources,
            })
        };
        Ok(config().expect("a setting without a problem and with a default has a value"))
    }

    /// These settings for another server: a dev server, whose workers are not versioned, since
    /// nobody makes a version current there.
    pub(crate) fn pointed_at(&self, address: &str) -> Self {
        Self { environment: self.environment.pointed_at(address), deployment: None, ..self.clone() }
    }

    /// The variables that give a child process in `role` these very settings.
    pub(crate) fn for_child(&self, role: Role) -> Vec<(&'static str, String)> {
        let role = [("FLEET_ROLE", role.to_string())];
        // The role is the child's own; what Temporal's controller sets is in the environment.
        let settings = self.values().filter_map(|(var, value, _)| {
            (var.key != "role" && var.in_file()).then_some((var.env, value?))
        });
        let file = self.file.as_ref().map(|file| (CONFIG_VAR, file.display().to_string()));
        role.into_iter().chain(settings).chain(file).collect()
    }

    /// Each setting with its value as text, if it has one, and where that came from.
    pub(crate) fn values(&self) -> impl Iterator<Item = (&'static Var, Option<String>, &Source)> {
        self.sources.iter().map(|(var, source)| (*var, self.value(var.key), source))
    }

    fn value(&self, key: &str) -> Option<String> {
        let deployment = self.deployment.as_ref();
        Some(match key {
            "role" => self.role?.to_string(),
            "workflow_task_queue" => self.workflow_task_queue.clone(),
            "activity_task_queue" => self.activity_task_queue.clone(),
            "max_concurrent_workflow_tasks" => self.max_concurrent_workflow_tasks.to_string(),
            "max_concurrent_activities" => self.max_concurrent_activities.to_string(),
            "activity_threads" => self.activity_threads.to_string(),
            "workflow_task_pollers" => self.workflow_task_pollers.to_string(),
            "activity_task_pollers" => self.activity_task_pollers.to_string(),
            "max_cached_workflows" => self.max_cached_workflows.to_string(),
            "activities_per_sdk_worker" => {
                self.activities_per_sdk_worker.map_or(0, NonZeroUsize::get).to_string()
            }
            "drain_timeout" => show(self.drain_timeout),
            "activity_grace" => show(self.activity_grace),
            "connect_timeout" => show(self.connect_timeout),
            "grpc_compression" => self.grpc_compression.to_string(),
            "worker_label" => self.worker_label.to_string(),
            "temporal_cli" => self.temporal_cli.as_ref()?.display().to_string(),
            "health_addr" => self.health_addr?.to_string(),
            "log_format" => self.log_format.to_string(),
            "versioning_behavior" => self.behavior.to_string(),
            "deployment_name" => deployment?.name.clone(),
            "worker_build_id" => deployment?.build_id.clone(),
            _ => return None,
        })
    }
}

/// More slots, or workflows in the cache, than any machine has memory for.
const MOST_SLOTS: usize = 1_000_000;
/// More than a machine has cores.
const MOST_THREADS: usize = 1_000;
/// Gigabytes of what the SDK keeps of each.
const MOST_ACTIVITIES: usize = 1_000_000_000;
/// More polls than any server wants from one worker.
const MOST_POLLERS: usize = 1_000;
/// Far from where clocks overflow, and longer than anybody waits.
const LONGEST: Duration = Duration::from_hours(24 * 365);

/// Parses a whole number between `least` and `most`, which are allowed.
///
/// # Errors
/// The rule, for a message.
pub(crate) fn parse_number(text: &str, least: usize, most: usize) -> Result<usize, String> {
    match text.parse() {
        Ok(number) if (least..=most).contains(&number) => Ok(number),
        _ if most == usize::MAX => Err(format!("expected a whole number, {least} or more")),
        _ => Err(format!("expected a whole number from {least} to {most}")),
    }
}

/// Parses an address to listen on.
///
/// # Errors
/// The rule, for a message.
pub(crate) fn parse_address(text: &str) -> Result<SocketAddr, &'static str> {
    text.parse().map_err(|_| "expected an IP address and a port, as 0.0.0.0:8080")
}

/// Parses the name of a queue or the like.
///
/// # Errors
/// The rule, for a message.
pub(crate) fn parse_name(text: &str) -> Result<String, &'static str> {
    if text.trim().is_empty() || text.contains(char::is_control) {
        return Err("expected a name, not empty or blank, on one line");
    }
    Ok(text.to_owned())
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
    match humantime::parse_duration(text) {
        Ok(duration) if duration <= LONGEST => Ok(duration),
        Ok(_) => Err("expected a duration of at most a year"),
        Err(_) => Err(RULE),
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn defaults() -> Defaults {
        Defaults {
            fleet: "orders".into(),
            version: "1.2".into(),
            workflow_task_queue: "orders-workflows".into(),
            activity_task_queue: "orders-activities".into(),
            activity_threads: NonZeroUsize::new(3).unwrap(),
            known_variables: vec!["FLEET_API_URL".into()],
        }
    }

    fn try_resolve(
        file: Option<&str>,
        environment: &str,
        flags: &[(&'static str, &str)],
    ) -> Result<Config, String> {
        let folder = tempfile::TempDir::new().unwrap();
        let path = folder.path().join("fleet.toml");
        if let Some(text) = file {
            std::fs::write(&path, text).unwrap();
        }
        let flags = flags.iter().map(|(key, value)| (*key, (*value).to_owned())).collect();
        let file = file.map(|_| path.as_path());
        Config::resolve(&defaults(), file, environment.parse().unwrap(), &flags)
            .map_err(|error| error.to_string().replace(&path.display().to_string(), "fleet.toml"))
    }

    #[track_caller]
    fn resolve(file: Option<&str>, environment: &str, flags: &[(&'static str, &str)]) -> Config {
        try_resolve(file, environment, flags).unwrap_or_else(|problems| panic!("{problems}"))
    }

    #[track_caller]
    fn problems(file: Option<&str>, environment: &str, flags: &[(&'static str, &str)]) -> String {
        try_resolve(file, environment, flags).expect_err("a problem")
    }

    #[test]
    fn an_empty_environment_gives_the_defaults() {
        let config = resolve(None, "", &[]);
        assert_eq!(config.role, None);
        assert_eq!(config.workflow_task_queue, "orders-workflows");
        assert_eq!(config.activity_task_queue, "orders-activities");
        assert_eq!(config.max_concurrent_workflow_tasks.get(), 8);
        assert_eq!(config.activity_threads.get(), 3);
        assert_eq!(config.drain_timeout, Duration::from_secs(20));
        assert_eq!(config.activity_grace, Duration::from_secs(15));
        assert_eq!(config.deployment, None);
        assert!(config.values().all(|(_, _, source)| *source == Source::Default));
    }

    #[test]
    fn each_layer_overrides_the_one_before() {
        let file = "drain_timeout = \"1m\"\nconnect_timeout = \"1m\"\nrole = \"worker\"\n\
                    max_cached_workflows = 7";
        let environment = "FLEET_CONNECT_TIMEOUT=2m\nFLEET_ROLE=workflow-worker";
        let config = resolve(Some(file), environment, &[("role", "activity-worker")]);
        assert_eq!(config.max_cached_workflows, 7);
        assert_eq!(config.drain_timeout, Duration::from_mins(1));
        assert_eq!(config.connect_timeout, Duration::from_mins(2));
        assert_eq!(config.role, Some(Role::ActivityWorker));
        let source = |key| {
            let found = config.values().find(|(var, ..)| var.key == key).unwrap();
            found.2.clone()
        };
        assert!(matches!(source("drain_timeout"), Source::File(_)));
        assert_eq!(source("connect_timeout"), Source::Environment);
        assert_eq!(source("role"), Source::Flag);
        assert_eq!(source("worker_label"), Source::Default);
    }

    #[test]
    fn the_empty_string_counts_as_unset() {
        let config =
            resolve(None, "FLEET_WORKFLOW_TASK_QUEUE=\nFLEET_CONFIG=\nFLEET_NONSENSE=", &[]);
        assert_eq!(config.workflow_task_queue, "orders-workflows");
    }

    #[test]
    fn every_problem_is_reported_at_once_with_name_value_source_and_rule() {
        let found = problems(
            Some("drain_timeout = 20\nmax_cached_workflow = 1\nworker_label = [1]"),
            "FLEET_ROLE=actvity\nFLEET_WORKFLOW_TASK_POLLERS=1\nFLEET_ROLES=worker\n\
             TEMPORAL_DEPLOYMENT_NAME=d\nRUST_LOG=a=loud",
            &[("activity_grace", "soon")],
        );
        let duration = "expected a duration with its unit, as 500ms, 3s or 2m";
        let expected = [
            "max_cached_workflow (fleet.toml): no such setting; the nearest is max_cached_workflows",
            "FLEET_ROLES (environment): no such setting; the nearest is FLEET_ROLE",
            "FLEET_ROLE=\"actvity\" (environment): unknown role; expected workflow-worker, \
             activity-worker or worker",
            "FLEET_WORKFLOW_TASK_POLLERS=\"1\" (environment): expected auto or a whole number from 2 to 1000",
            &format!("drain_timeout=\"20\" (fleet.toml): {duration}"),
            &format!("--activity-grace=\"soon\" (flag): {duration}"),
            "worker_label (fleet.toml): expected a single value",
            "TEMPORAL_DEPLOYMENT_NAME=\"d\" (environment): a versioned worker needs \
             TEMPORAL_WORKER_BUILD_ID too",
            "RUST_LOG=\"a=loud\" (environment): not a log filter: error parsing level filter: \
             expected one of \"off\", \"error\", \"warn\", \"info\", \"debug\", \"trace\", or a number 0-5",
        ];
        assert_eq!(found.lines().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn a_file_that_is_no_toml_is_one_line() {
        let found = problems(Some("role = "), "", &[]);
        assert!(found.starts_with("fleet.toml (file): "), "{found}");
        assert_eq!(found.lines().count(), 1, "{found}");
    }

    #[test]
    fn a_named_file_must_be_there() {
        let found = problems(None, "FLEET_CONFIG=/nowhere/fleet.toml", &[]);
        assert_eq!(found, "/nowhere/fleet.toml (file): No such file or directory (os error 2)");
    }

    #[test]
    fn a_programs_own_variables_and_service_links_are_no_settings_and_no_problem() {
        resolve(None, "FLEET_API_URL=http://a\nFLEET_API_SERVICE_HOST=10.0.0.1", &[]);
    }

    #[test]
    fn a_grace_that_outlasts_the_drain_is_refused() {
        assert_eq!(
            problems(None, "FLEET_ACTIVITY_GRACE=20s", &[]),
            "FLEET_ACTIVITY_GRACE=\"20s\" (environment): must be shorter than the drain timeout (20s)"
        );
    }

    #[test]
    fn a_child_resolves_to_the_settings_of_its_parent() {
        let environment = "FLEET_DRAIN_TIMEOUT=1m 30s\nFLEET_MAX_CACHED_WORKFLOWS=0\n\
                           FLEET_ACTIVITY_TASK_POLLERS=auto\nFLEET_TEMPORAL_CLI=/t\n\
                           FLEET_VERSIONING_BEHAVIOR=pinned";
        let parent = resolve(None, environment, &[("log_format", "json")]);
        let variables = parent.for_child(Role::ActivityWorker);
        let lines: Vec<_> =
            variables.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let child = resolve(None, &lines.join("\n"), &[]);
        assert_eq!(child.role, Some(Role::ActivityWorker));
        assert_eq!(child.for_child(Role::ActivityWorker), variables);
        assert_eq!(child.activity_task_pollers, Pollers::Auto);
        assert_eq!(child.value("versioning_behavior").as_deref(), Some("pinned"));
        assert_eq!(child.log_format, LogFormat::Json);
    }

    #[test]
    fn a_versioned_worker_has_name_and_build_but_not_at_a_dev_server() {
        let environment = "TEMPORAL_DEPLOYMENT_NAME=d\nTEMPORAL_WORKER_BUILD_ID=b\n\
                           FLEET_VERSIONING_BEHAVIOR=pinned";
        let config = resolve(None, environment, &[]);
        let deployment = config.deployment.clone().unwrap();
        assert_eq!((deployment.name.as_str(), deployment.build_id.as_str()), ("d", "b"));
        assert_eq!(deployment.behavior, Versioning::Pinned);
        assert_eq!(config.pointed_at("127.0.0.1:1").deployment, None);
    }

    #[test]
    fn the_documented_settings_and_the_example_file_are_those_of_the_code() {
        let page = include_str!("../../docs/configuration.md");
        let example = include_str!("../../.env.example");
        for var in VARS {
            let default = match var.default {
                "" => String::new(),
                default => format!("`{default}`"),
            };
            let row = format!("| `{}` | {default} | {} |", var.env, var.meaning);
            assert!(page.contains(&row), "docs/configuration.md has no row {row}");
            let lines = format!("# {}\n# {}={}\n", var.meaning, var.env, var.default);
            assert!(example.contains(&lines), ".env.example has no lines\n{lines}");
        }
        let rows = page
            .lines()
            .filter(|line| line.starts_with("| `FLEET_") || line.starts_with("| `TEMPORAL_"));
        assert_eq!(rows.count(), VARS.len() + 1, "and FLEET_CONFIG");
        let settings = example.lines().filter(|line| line.contains('='));
        assert_eq!(settings.count(), VARS.len() + 1, "and FLEET_CONFIG");
    }
}
