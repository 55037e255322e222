//! The workers that a fleet on this machine runs: those of the settings' groups, or, without groups, a group for
//! each role.

use super::context::Context;
use crate::{
    cli::Counts,
    config::{Config, role::Role, settings::Group},
    error::CommandError,
    fleet::Fleet,
    local::supervisor::{Timeouts, WorkerGroup},
    process::host::provide_open_files,
    terminal::stderr,
};

/// A group of workers that a fleet is to run.
pub(super) struct Planned {
    name: String,
    pub(super) role: Role,
    pub(super) count: usize,
}

/// The workers that the settings and the flags ask for. The fleet can serve each role that has any.
///
/// # Errors
/// [`CommandError::Usage`] for flags that count workers by role where the settings have groups.
pub(super) fn planned(
    context: &Context<'_>,
    config: &Config,
    counts: &Counts,
) -> Result<Vec<Planned>, CommandError> {
    let planned = if config.groups.is_empty() {
        let of_role =
            |(role, count): (Role, usize)| Planned { name: role.to_string(), role, count };
        counts_of(counts, context.fleet).map(of_role).into()
    } else {
        of_groups(config, counts)?
    };
    for group in planned.iter().filter(|group| group.count > 0) {
        context.fleet.registered(group.role, None)?;
    }
    if let Some(queue) = unserved_activities(config) {
        stderr::say(&format!(
            "warning: activity_task_queue() is {queue} in workflow code, and no group runs activities from it: set \
             activity_task_queue, or use task_queue(GROUP) only\n"
        ));
    }
    provide_open_files(planned.iter().map(|group| group.count).sum())
        .map_err(CommandError::Host)?;
    Ok(planned)
}

/// The groups of the settings; of one, if they name it.
fn of_groups(config: &Config, counts: &Counts) -> Result<Vec<Planned>, CommandError> {
    let is_counted = counts.num_workflow_workers.is_some()
        || counts.num_activity_workers.is_some()
        || counts.num_workers > 0;
    if is_counted {
        return Err(CommandError::Usage(format!(
            "-w, -a and --num-workers are for a fleet without groups: set each group's count in {}",
            config.file.as_ref().map_or("fleet.toml".into(), |file| file.display().to_string()),
        )));
    }
    let groups = config.groups.iter();
    let groups =
        groups.filter(|group| config.group.as_ref().is_none_or(|name| *name == group.name));
    Ok(groups
        .map(|group| Planned { name: group.name.clone(), role: group.role, count: group.count })
        .collect())
}

/// The queue to which workflow code would send activities that no group runs.
fn unserved_activities(config: &Config) -> Option<&str> {
    let mut serving = config.groups.iter().filter(|group| group.role.runs_activities()).peekable();
    serving.peek()?;
    let queues: Vec<_> = serving.map(Group::task_queue).collect();
    let mut asking = config.groups.iter().filter(|group| group.role == Role::WorkflowWorker);
    let group = asking.find(|group| !queues.contains(&&*group.config.activity_task_queue))?;
    Some(&group.config.activity_task_queue)
}

/// The number of workers of each role, also of roles without any.
fn counts_of(counts: &Counts, fleet: &Fleet) -> [(Role, usize); 3] {
    // Workers that serve both roles take from the same queue as workflow workers, so they replace
    // the default ones.
    let separate = counts.num_workers == 0;
    let default = |serves: bool, count| if separate && serves { count } else { 0 };
    let workflows = default(fleet.default_workflow_type().is_some(), 2);
    let activities = default(fleet.has_activities(), 1);
    [
        (Role::WorkflowWorker, counts.num_workflow_workers.unwrap_or(workflows)),
        (Role::ActivityWorker, counts.num_activity_workers.unwrap_or(activities)),
        (Role::Worker, counts.num_workers),
    ]
}

/// The groups of workers, each with the variables that give them their settings.
pub(super) fn worker_groups(config: &Config, planned: &[Planned]) -> Vec<WorkerGroup> {
    let group = |planned: &Planned| {
        let of_group = config.groups.iter().find(|group| group.name == planned.name);
        let settings = of_group.map_or(config, |group| &group.config);
        let mut environment = settings.environment.clone();
        for (name, value) in settings.for_child(planned.role) {
            environment.set(name, &value);
        }
        // The supervisor listens on the configured address, if it listens. Each worker takes a free port.
        let address = config.health_addr.map_or("", |_| "127.0.0.1:0");
        environment.set("FLEET_HEALTH_ADDR", address);
        WorkerGroup {
            name: planned.name.clone(),
            role: planned.role,
            count: planned.count,
            environment,
            timeouts: Timeouts { drain: settings.drain_timeout, stuck: settings.stuck_timeout },
        }
    };
    planned.iter().map(group).collect()
}

/// The task queue on which to start workflows: the one that a flag names, or the settings'.
///
/// # Errors
/// [`CommandError::Usage`] if several groups run workflows, each from a queue of its own.
pub(super) fn queue_for_starts(
    config: &Config,
    named: Option<&String>,
) -> Result<String, CommandError> {
    if let Some(named) = named {
        return Ok(named.clone());
    }
    let groups = || config.groups.iter().filter(|group| group.role.runs_workflows());
    let is_served = groups().any(|group| group.task_queue() == config.workflow_task_queue);
    if is_served || groups().next().is_none() {
        return Ok(config.workflow_task_queue.clone());
    }
    let queues: Vec<_> =
        groups().map(|group| format!("{} ({})", group.task_queue(), group.name)).collect();
    Err(CommandError::Usage(format!(
        "several groups run workflows: choose a task queue with --task-queue: {}",
        queues.join(", ")
    )))
}
