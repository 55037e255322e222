//! Groups of workers.

use super::*;

const FILE: &str = r#"
drain_timeout = "1m"
max_concurrent_activities = 50
activity_grace = "3s"

[workers.orders]
role = "workflow-worker"
task_queue = "orders"
count = 2

[workers.payments]
role = "activity-worker"
task_queue = "payments"
count = 3
max_concurrent_activities = 20
max_activities_per_second = 5
activities = ["charge", "refund"]
"#;

fn group<'a>(config: &'a Config, name: &str) -> &'a Group {
    config.groups.iter().find(|group| group.name == name).unwrap()
}

#[test]
fn a_group_overrides_the_top_level_and_has_what_it_does_not_override() {
    let config = resolve(Some(FILE), "", &[]);
    let groups: Vec<_> =
        config.groups.iter().map(|group| (&*group.name, group.role, group.count)).collect();
    let expected = [("orders", Role::WorkflowWorker, 2), ("payments", Role::ActivityWorker, 3)];
    assert_eq!(groups, expected);
    let payments = group(&config, "payments");
    assert_eq!(payments.task_queue(), "payments");
    assert_eq!(payments.config.max_concurrent_activities.get(), 20);
    assert_eq!(payments.config.max_activities_per_second.unwrap().per_second().to_string(), "5");
    assert_eq!(payments.config.activities.as_ref().unwrap().to_string(), "charge,refund");
    assert_eq!(payments.config.drain_timeout, Duration::from_mins(1));
    assert_eq!(config.max_concurrent_activities.get(), 50);
    assert_eq!(config.activities, None);
    let source = |key| {
        let found = payments.config.values().find(|(var, ..)| var.key == key).unwrap();
        found.2.to_string()
    };
    assert!(source("max_concurrent_activities").ends_with("fleet.toml [workers.payments]"));
    assert!(source("drain_timeout").ends_with("fleet.toml"));
}

#[test]
fn the_environment_overrides_a_groups_settings_but_not_what_the_group_is() {
    let environment = "FLEET_MAX_CONCURRENT_ACTIVITIES=7\nFLEET_ACTIVITY_TASK_QUEUE=payments\n\
                       FLEET_ROLE=worker";
    let config = resolve(Some(FILE), environment, &[]);
    let payments = group(&config, "payments");
    assert_eq!(payments.config.max_concurrent_activities.get(), 7);
    assert_eq!((payments.task_queue(), payments.role), ("payments", Role::ActivityWorker));
    assert_eq!(payments.config.role, Some(Role::ActivityWorker));
}

#[test]
fn workflow_code_finds_every_groups_queue_and_the_only_queue_of_activities() {
    let config = resolve(Some(FILE), "", &[]);
    for config in [&config, &group(&config, "orders").config] {
        assert_eq!(config.activity_task_queue, "payments");
        assert_eq!(config.workflow_task_queue, "orders");
        let queues = config.task_queues.as_ref().unwrap();
        assert_eq!(queues.to_string(), "orders=orders,payments=payments");
    }
    let mails = "[workers.mails]\nrole = \"activity-worker\"\ntask_queue = \"mails\"";
    let elsewhere = resolve(Some(&format!("{FILE}\n{mails}")), "", &[]);
    assert_eq!(elsewhere.activity_task_queue, "payments", "where there are workers");
    let two = format!("{FILE}\n{mails}\ncount = 1");
    let config = resolve(Some(&two), "", &[]);
    assert_eq!(config.activity_task_queue, "orders-activities", "nobody can say which one");
    let named = format!("activity_task_queue = \"mails\"\n{two}");
    assert_eq!(
        group(&resolve(Some(&named), "", &[]), "orders").config.activity_task_queue,
        "mails"
    );
}

#[test]
fn a_process_of_a_group_has_its_role_its_queue_and_its_settings() {
    for (environment, flags) in [("FLEET_GROUP=payments", &[][..]), ("", &[("group", "payments")])]
    {
        let config = resolve(Some(FILE), environment, flags);
        assert_eq!(config.role, Some(Role::ActivityWorker));
        assert_eq!(config.group.as_deref(), Some("payments"));
        assert_eq!(config.activity_task_queue, "payments");
        assert_eq!(config.max_concurrent_activities.get(), 20);
        assert_eq!(config.groups.len(), 2);
    }
    let flags = [("group", "payments"), ("activity_task_queue", "elsewhere")];
    assert_eq!(resolve(Some(FILE), "", &flags).activity_task_queue, "elsewhere");
}

#[test]
fn a_child_has_its_groups_settings_and_reads_no_file() {
    let config = resolve(Some(FILE), "", &[]);
    let payments = group(&config, "payments");
    let child = payments.config.for_child(payments.role);
    let variables: Vec<_> = child.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let child = resolve(None, &variables.join("\n"), &[]);
    assert_eq!(child.role, Some(Role::ActivityWorker));
    assert_eq!(child.activity_task_queue, "payments");
    assert_eq!(child.max_concurrent_activities.get(), 20);
    assert_eq!(child.activities, payments.config.activities);
    assert_eq!(child.task_queues, payments.config.task_queues);
    assert_eq!(child.file.unwrap().to_str(), Some("/dev/null"));
}

#[test]
fn everything_that_is_wrong_with_groups_is_reported_at_once() {
    let found = problems(
        Some(
            r#"
drain_timeout = "2"
health_adr = "127.0.0.1:1"
[workers]
x = 1
[workers.orders]
role = "workflow"
count = -1
[workers.payments]
role = "activity-worker"
task_queue = ""
cuont = 3
activities = ["chrge"]
workflows = "Order"
drain_timeout = "1s"
activity_grace = "2s"
health_addr = "127.0.0.1:1"
workflow_task_queue = "a"
[workers."a b"]
role = "worker"
[workers.invoices]
count = 1
"#,
        ),
        "FLEET_GROUP=payment",
        &[],
    );
    let expected = [
        "workers.x (fleet.toml): expected a table for each group, such as [workers.orders]",
        "health_adr (fleet.toml): no such setting; the nearest is health_addr",
        "drain_timeout=\"2\" (fleet.toml): expected a duration with its unit, such as 500ms, 3s or 2m",
        "workers.a b (fleet.toml): expected a group's name of at most 50 letters, digits, -, _ and ., \
         which begins with a letter or a digit",
        "role (fleet.toml [workers.invoices]): expected workflow-worker, activity-worker or worker",
        "role=\"workflow\" (fleet.toml [workers.orders]): unknown role; expected workflow-worker, \
         activity-worker or worker",
        "count=\"-1\" (fleet.toml [workers.orders]): expected a whole number from 0 to 1000",
        "cuont (fleet.toml [workers.payments]): no such setting; the nearest is count",
        "health_addr (fleet.toml [workers.payments]): is a setting of the whole fleet: set it at the \
         top level",
        "workflow_task_queue (fleet.toml [workers.payments]): a group's own queue is its task_queue",
        "workflows (fleet.toml [workers.payments]): has no effect in the role activity-worker",
        "FLEET_GROUP=\"payment\" (environment): no such group; the nearest is payments",
        "task_queue=\"\" (fleet.toml [workers.payments]): expected a name, not empty or blank, on one line",
        "activity_grace=\"2s\" (fleet.toml [workers.payments]): must be shorter than the drain timeout (1s)",
        "activities=\"chrge\" (fleet.toml [workers.payments]): \"chrge\": no such activity; the \
         nearest is charge",
    ];
    let found: Vec<_> = found.lines().collect();
    for line in expected {
        assert!(found.contains(&line), "missing: {line}\nin {found:#?}");
    }
    assert_eq!(found.len(), expected.len(), "{found:#?}");
}

#[test]
fn a_queue_that_no_group_serves_is_refused_with_the_nearest_one() {
    let wrong = FILE.replace(
        "task_queue = \"orders\"",
        "task_queue = \"orders\"\nactivity_task_queue = \"payment\"",
    );
    let rule = "no group runs activities from it; the nearest queue is \"payments\"; a group without count \
                stands for workers elsewhere";
    assert_eq!(
        problems(Some(&wrong), "", &[]),
        format!("activity_task_queue=\"payment\" (fleet.toml [workers.orders]): {rule}")
    );
    assert_eq!(
        problems(Some(FILE), "FLEET_ACTIVITY_TASK_QUEUE=payment", &[]),
        format!("FLEET_ACTIVITY_TASK_QUEUE=\"payment\" (environment): {rule}")
    );
    let elsewhere =
        format!("{wrong}\n[workers.python]\nrole = \"activity-worker\"\ntask_queue = \"payment\"");
    assert_eq!(group(&resolve(Some(&elsewhere), "", &[]), "python").count, 0);
}

#[test]
fn a_group_needs_a_file_and_no_other_role() {
    for (file, environment, expected) in [
        (
            None,
            "FLEET_GROUP=orders",
            "FLEET_GROUP=\"orders\" (environment): there is no settings file with a table for it, such as \
             [workers.orders]",
        ),
        (
            Some(FILE),
            "FLEET_GROUP=orders\nFLEET_ROLE=worker",
            "FLEET_ROLE=\"worker\" (environment): the group orders has the role workflow-worker: leave it out",
        ),
        (
            Some("group = \"a\""),
            "",
            "group (fleet.toml): no such setting; the nearest is activity_grace",
        ),
    ] {
        let found = problems(file, environment, &[]);
        let found = found.split("; the nearest").next().unwrap();
        assert_eq!(found, expected.split("; the nearest").next().unwrap());
    }
}

#[test]
fn a_flag_for_the_queue_holds_for_groups_without_one_of_their_own() {
    let file = format!("{FILE}\n[workers.more]\nrole = \"workflow-worker\"\ncount = 1");
    let config = resolve(Some(&file), "", &[("workflow_task_queue", "flagged")]);
    assert_eq!(group(&config, "more").task_queue(), "flagged");
    assert_eq!(group(&config, "orders").task_queue(), "orders");
}

#[test]
fn a_queue_that_could_not_be_passed_to_a_worker_is_refused() {
    let comma = FILE.replace("task_queue = \"orders\"", "task_queue = \"a,b\"");
    assert_eq!(
        problems(Some(&comma), "", &[]),
        "task_queue=\"a,b\" (fleet.toml [workers.orders]): a group's task queue has no comma: \
         FLEET_TASK_QUEUES lists them"
    );
}

#[test]
fn fifty_groups_may_share_a_queue() {
    let table = |number| {
        format!("[workers.g{number}]\nrole = \"worker\"\ntask_queue = \"q\"\ncount = {number}\n")
    };
    let file: String = (0..50).map(table).collect();
    let config = resolve(Some(&file), "", &[]);
    assert_eq!(config.groups.len(), 50);
    assert_eq!(config.groups.iter().map(|group| group.count).sum::<usize>(), 49 * 50 / 2);
    assert_eq!(config.workflow_task_queue, "q");
}
