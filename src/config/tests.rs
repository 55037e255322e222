//! How settings resolve, and how problems with them are reported.

use std::{num::NonZeroUsize, time::Duration};

use super::{
    choices::{LogFormat, Pollers, Versioning},
    layers::Defaults,
    role::Role,
    settings::{Config, Group, VARS},
    source::Source,
};

mod groups;

fn defaults() -> Defaults {
    Defaults {
        fleet: "orders".into(),
        version: "1.2".into(),
        workflow_task_queue: "orders-workflows".into(),
        activity_task_queue: "orders-activities".into(),
        activity_threads: NonZeroUsize::new(3).unwrap(),
        workflow_types: ["Order", "Invoice"].map(Into::into).into(),
        activity_types: ["charge", "refund"].map(Into::into).into(),
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
    Config::resolve(&defaults(), file, &environment.parse().unwrap(), &flags)
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
    let config = resolve(None, "FLEET_WORKFLOW_TASK_QUEUE=\nFLEET_CONFIG=\nFLEET_NONSENSE=", &[]);
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
    let duration = "expected a duration with its unit, such as 500ms, 3s or 2m";
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
    assert_eq!(
        found,
        "FLEET_CONFIG=\"/nowhere/fleet.toml\" (environment): cannot read it: No such file or directory \
         (os error 2)"
    );
}

#[test]
fn blanks_and_quotes_around_a_queues_name_are_refused() {
    for name in [" q", "q ", "\"q\"", "'q'"] {
        let found = problems(None, "", &[("workflow_task_queue", name)]);
        assert!(found.ends_with("expected a name without blanks or quotes around it"), "{found}");
    }
    resolve(None, "", &[("workflow_task_queue", "orders \"urgent\" ones")]);
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
    let lines: Vec<_> = variables.iter().map(|(name, value)| format!("{name}={value}")).collect();
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
    let settings = example.lines().filter(|line| {
        ["# FLEET_", "# TEMPORAL_"].iter().any(|prefix| line.starts_with(prefix))
            && line.contains('=')
    });
    assert_eq!(settings.count(), VARS.len() + 1, "and FLEET_CONFIG");
}
