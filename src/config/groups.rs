//! Groups of workers: the tables `[workers.NAME]` of `fleet.toml`.
//!
//! A group has a name of the user's own, a role, a task queue and a number of workers. Its other keys are settings
//! that override those of the top level for its workers. The environment and flags override them in turn, as they
//! override everything in the file, except for the role and the task queue: these are what the group is.

use std::{collections::BTreeSet, path::Path};

use config::Value;

use super::{
    problems::{Problems, nearest, unknown},
    role::Role,
    settings_file::{SettingsFile, Table},
    source::Source,
    values::parse_number,
    vars::Var,
};

/// The upper limit of workers of a group: each is a process.
pub(crate) const MOST_WORKERS: usize = 1_000;
/// The longest name of a group: it becomes part of the names of processes and of Kubernetes' objects.
const LONGEST_NAME: usize = 50;

/// Keys that only a group has.
const OWN_KEYS: [&str; 2] = ["task_queue", "count"];
/// Settings of the whole fleet, which have no effect on a single worker under a supervisor.
const OF_FLEET: [&str; 4] = ["temporal_cli", "health_addr", "workflow_task_queue", "task_queues"];

/// Settings that have no effect on a worker that runs no workflows.
const OF_WORKFLOWS: [&str; 4] =
    ["workflows", "max_concurrent_workflow_tasks", "workflow_task_pollers", "max_cached_workflows"];
/// Settings that have no effect on a worker that runs no activities.
const OF_ACTIVITIES: [&str; 8] = [
    "activities",
    "max_concurrent_activities",
    "max_activities_per_second",
    "task_queue_activities_per_second",
    "activity_threads",
    "activity_task_pollers",
    "activities_per_sdk_worker",
    "activity_grace",
];

/// A group's table, read but not resolved.
pub(super) struct GroupTable {
    pub(super) name: String,
    pub(super) role: Role,
    pub(super) count: usize,
    /// The role and the task queue, which no other layer overrides.
    pub(super) own: Vec<(&'static str, String)>,
    /// Settings that override those of the top level.
    pub(super) settings: Table,
    pub(super) source: Source,
}

/// Reads the groups' tables. What is wrong with them is a problem.
pub(super) fn read(file: &SettingsFile, vars: &[Var], problems: &mut Problems) -> Vec<GroupTable> {
    let tables = file.groups.iter();
    let read = |(name, table): (&String, &Table)| {
        GroupTable::read(name, table.clone(), &file.path, vars, problems)
    };
    tables.filter_map(read).collect()
}

impl GroupTable {
    fn read(
        name: &str,
        mut table: Table,
        path: &Path,
        vars: &[Var],
        problems: &mut Problems,
    ) -> Option<Self> {
        let source = Source::Group { file: path.to_owned(), group: name.to_owned() };
        if let Err(rule) = check_name(name) {
            problems.add(format!("workers.{name}"), path.display(), rule);
            return None;
        }
        let role = match table.remove("role").map(Value::into_string) {
            Some(Ok(text)) => {
                text.parse::<Role>().map_err(|rule| (format!("role={text:?}"), rule.to_string()))
            }
            Some(Err(_)) => Err(("role".to_owned(), "expected a single value".to_owned())),
            None => Err((
                "role".to_owned(),
                "expected workflow-worker, activity-worker or worker".to_owned(),
            )),
        };
        let role = role.map_err(|(what, rule)| problems.add(what, &source, rule)).ok();
        let count = read_count(table.remove("count"), &source, problems);
        let queue = table.remove("task_queue").map(Value::into_string);
        refuse_unknown(&mut table, role, vars, &source, problems);
        let role = role?;
        let mut own = vec![("role", role.to_string())];
        match queue {
            Some(Ok(queue)) => own.push((role.queue_key(), queue)),
            Some(Err(_)) => problems.add("task_queue", &source, "expected a single value"),
            None => {}
        }
        Some(Self { name: name.to_owned(), role, count: count?, own, settings: table, source })
    }
}

fn check_name(name: &str) -> Result<(), String> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let begins = name.starts_with(|c: char| c.is_ascii_alphanumeric());
    if begins && name.chars().all(is_plain) && name.len() <= LONGEST_NAME {
        return Ok(());
    }
    Err(format!(
        "expected a group's name of at most {LONGEST_NAME} letters, digits, -, _ and ., which begins with a letter or a digit"
    ))
}

/// A group without a count has no workers.
fn read_count(value: Option<Value>, source: &Source, problems: &mut Problems) -> Option<usize> {
    let Some(value) = value else { return Some(0) };
    let text = value.into_string().unwrap_or_default();
    parse_number(&text, 0, MOST_WORKERS)
        .map_err(|rule| problems.add(format!("count={text:?}"), source, rule))
        .ok()
}

fn refuse_unknown(
    table: &mut Table,
    role: Option<Role>,
    vars: &[Var],
    source: &Source,
    problems: &mut Problems,
) {
    let settings = || vars.iter().filter(|var| var.in_file()).map(|var| var.key);
    let known = || settings().filter(|key| !OF_FLEET.contains(key)).chain(OWN_KEYS);
    let mut keys: Vec<_> = table.keys().cloned().collect();
    keys.sort();
    for key in keys {
        let rule = match &*key {
            // Workflow code of a role that only runs workflows asks for it.
            "activity_task_queue" if role.is_some_and(|role| role != Role::WorkflowWorker) => {
                "has no effect here: a group's own queue is its task_queue".to_owned()
            }
            key if role.is_some_and(|role| {
                !role.runs_workflows() && OF_WORKFLOWS.contains(&key)
                    || !role.runs_activities() && OF_ACTIVITIES.contains(&key)
            }) =>
            {
                format!("has no effect in the role {}", role.map_or("", Role::as_str))
            }
            "workflow_task_queue" => "a group's own queue is its task_queue".to_owned(),
            key if OF_FLEET.contains(&key) => {
                "is a setting of the whole fleet: set it at the top level".to_owned()
            }
            key if settings().any(|known| known == key) => continue,
            key => unknown(key, known()),
        };
        problems.add(&key, source, rule);
        table.remove(&key);
    }
}

/// The task queues that groups serve.
pub(super) struct Served<'a> {
    workflows: Queues<'a>,
    activities: Queues<'a>,
}

/// Queues for one kind of task.
struct Queues<'a> {
    served: BTreeSet<&'a str>,
    /// Those of groups that have workers.
    here: BTreeSet<&'a str>,
}

impl<'a> Served<'a> {
    /// The queues of groups, given with their roles and counts.
    pub(super) fn by(groups: &'a [(Role, usize, String)]) -> Self {
        let of = |serves: fn(Role) -> bool| {
            let queues = |least: usize| {
                let serving =
                    groups.iter().filter(|(role, count, _)| serves(*role) && *count >= least);
                serving.map(|(.., queue)| &**queue).collect()
            };
            Queues { served: queues(0), here: queues(1) }
        };
        Self { workflows: of(Role::runs_workflows), activities: of(Role::runs_activities) }
    }

    /// The queue that stands for the queue of workflows where none is named.
    ///
    /// # Errors
    /// The rule, for a message, if `queue` is named and no group serves it.
    pub(super) fn workflow_queue(
        &self,
        queue: &str,
        is_named: bool,
    ) -> Result<Option<&'a str>, String> {
        check_queue(&self.workflows, "workflows", queue, is_named)
    }

    /// The same for the queue of activities.
    ///
    /// # Errors
    /// The same.
    pub(super) fn activity_queue(
        &self,
        queue: &str,
        is_named: bool,
    ) -> Result<Option<&'a str>, String> {
        check_queue(&self.activities, "activities", queue, is_named)
    }
}

fn check_queue<'a>(
    queues: &Queues<'a>,
    what: &str,
    queue: &str,
    is_named: bool,
) -> Result<Option<&'a str>, String> {
    let Queues { served, here } = queues;
    if served.is_empty() || served.contains(queue) {
        return Ok(None);
    }
    let candidates = if here.is_empty() { served } else { here };
    match (is_named, candidates.len()) {
        (true, _) => Err(format!(
            "no group runs {what} from it; the nearest queue is {:?}; a group without count stands for workers elsewhere",
            nearest(queue, served.iter().copied()),
        )),
        (false, 1) => Ok(candidates.first().copied()),
        (false, _) => Ok(None),
    }
}
