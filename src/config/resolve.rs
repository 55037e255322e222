//! From layers to settings: parses all of them, checks what holds between them, and reports every problem at once.

use std::path::Path;

use super::{
    choices::Deployment,
    environment::Environment,
    groups::{self, GroupTable, Served},
    layers::{Defaults, Layers, Overrides, Sources},
    lists::{Names, TaskQueues, is_name_of},
    otel,
    problems::{ConfigError, Problems, unknown_among},
    role::Role,
    settings::{Config, ConfigBase, Group, Parsed, VARS},
    settings_file::SettingsFile,
    source::Source,
    values::show,
    vars::{CONFIG_VAR, Var},
};

impl Config {
    /// Resolves the settings: `defaults`, overridden by the file, by `environment`, by `flags`.
    ///
    /// If they name a group of the file, the result has that group's settings.
    ///
    /// # Errors
    /// Every problem in one [`ConfigError`].
    pub(crate) fn resolve(
        defaults: &Defaults,
        file: Option<&Path>,
        environment: &Environment,
        flags: &Overrides,
    ) -> Result<Self, ConfigError> {
        let mut problems = Problems::default();
        let file = SettingsFile::read(file, environment, VARS, &mut problems);
        let mut of_groups = Problems::default();
        let tables = file.as_ref().map(|file| groups::read(file, VARS, &mut of_groups));
        let tables = tables.unwrap_or_default();
        let sources = Sources { vars: VARS, defaults, file: file.as_ref(), environment, flags };

        let (config, found) = sources.resolve(None, problems);
        let mut problems = found;
        problems.add_new(of_groups);
        let chosen = sources.chosen_group(&tables, &mut problems);
        let mut groups = Vec::new();
        for table in &tables {
            let is_chosen = chosen.is_some_and(|chosen| chosen.name == table.name);
            // What is a group's own, a flag overrides only where it is for that group.
            let mut flags = flags.clone();
            flags.retain(|(key, _)| is_chosen || table.own.iter().all(|(own, _)| own != key));
            let of_group = Sources { flags: &flags, ..sources };
            let (config, found) = of_group.resolve(Some(table), Problems::default());
            problems.add_new(found);
            let GroupTable { name, role, count, .. } = table;
            groups.extend(config.map(|config| Group {
                name: name.clone(),
                role: *role,
                count: *count,
                config,
            }));
        }
        let Some(config) = config.filter(|_| groups.len() == tables.len()) else {
            return Err(problems.into_result().expect_err("what has no value has a problem"));
        };
        let config = config.with_groups(groups, &mut problems);
        problems.into_result()?;
        Ok(match chosen {
            Some(chosen) => config.of_group(&chosen.name),
            None => config,
        })
    }

    /// Adds the groups, and checks that they serve the task queues that are named.
    fn with_groups(mut self, mut groups: Vec<Group>, problems: &mut Problems) -> Self {
        if groups.is_empty() {
            return self;
        }
        let queues: Vec<_> = groups
            .iter()
            .map(|group| (group.role, group.count, group.task_queue().to_owned()))
            .collect();
        for group in groups.iter().filter(|group| group.task_queue().contains(',')) {
            let rule = "a group's task queue has no comma: FLEET_TASK_QUEUES lists them";
            group.config.complain(group.role.queue_key(), problems, rule);
        }
        let served = Served::by(&queues);
        self.check_queues(None, &served, problems);
        for group in groups.iter_mut().filter(|group| group.role == Role::WorkflowWorker) {
            group.config.check_queues(Some(group.role), &served, problems);
        }
        let names = groups.iter().map(|group| group.name.clone());
        let names: TaskQueues = names.zip(queues.iter().map(|(.., queue)| queue.clone())).collect();
        for config in groups.iter_mut().map(|group| &mut group.config).chain([&mut self]) {
            config.task_queues.get_or_insert_with(|| names.clone());
        }
        self.groups = groups;
        self
    }

    /// Completes the task queues that are not named, and refuses those that are named and that nothing serves.
    /// `role` is a group's, whose own queue is served.
    fn check_queues(&mut self, role: Option<Role>, served: &Served<'_>, problems: &mut Problems) {
        if role.is_none() {
            let is_named = self.is_named("workflow_task_queue");
            match served.workflow_queue(&self.workflow_task_queue, is_named) {
                Ok(Some(queue)) => queue.clone_into(&mut self.workflow_task_queue),
                Ok(None) => {}
                Err(rule) => self.complain("workflow_task_queue", problems, &rule),
            }
        }
        let is_named = self.is_named("activity_task_queue");
        match served.activity_queue(&self.activity_task_queue, is_named) {
            Ok(Some(queue)) => queue.clone_into(&mut self.activity_task_queue),
            Ok(None) => {}
            Err(rule) => self.complain("activity_task_queue", problems, &rule),
        }
    }

    fn is_named(&self, key: &str) -> bool {
        self.source(key) != &Source::Default
    }

    fn source(&self, key: &str) -> &Source {
        let mut sources = VARS.iter().zip(&self.sources);
        sources.find(|(var, _)| var.key == key).map_or(&Source::Default, |(_, source)| source)
    }

    fn complain(&self, key: &str, problems: &mut Problems, rule: &str) {
        let value = self.value(key).unwrap_or_default();
        let source = self.source(key);
        let var = VARS.iter().find(|var| var.key == key);
        let name = var.map_or(key.to_owned(), |var| source.name_of(var, self.role));
        let mut others = Problems::default();
        others.add(format!("{name}={value:?}"), source, rule);
        problems.add_new(others);
    }

    /// The settings of a group's workers.
    fn of_group(mut self, name: &str) -> Self {
        let groups = std::mem::take(&mut self.groups);
        let group = groups.iter().find(|group| group.name == name).expect("it was chosen");
        Self { group: Some(name.to_owned()), groups: groups.clone(), ..group.config.clone() }
    }

    /// These settings for another server: a dev server. Its workers are not versioned, because nobody makes a version
    /// the current one there.
    pub(crate) fn pointed_at(&self, address: &str) -> Self {
        Self {
            environment: self.environment.pointed_at(address),
            deployment: None,
            deployment_name: None,
            worker_build_id: None,
            groups: self
                .groups
                .iter()
                .map(|group| Group { config: group.config.pointed_at(address), ..group.clone() })
                .collect(),
            ..self.clone()
        }
    }

    /// The variables that give a child process in `role` the same settings. It reads no file: a file that somebody
    /// changes must not keep a worker that has to be replaced from starting.
    pub(crate) fn for_child(&self, role: Role) -> Vec<(&'static str, String)> {
        let role = [("FLEET_ROLE", role.to_string())];
        // The role is the child's own. What Temporal's controller sets is in the environment.
        let settings = self.values().filter_map(|(var, value, _)| {
            (var.key != "role" && var.in_file()).then_some((var.env, value?))
        });
        let none = [(CONFIG_VAR, "/dev/null".to_owned()), ("FLEET_GROUP", String::new())];
        role.into_iter().chain(settings).chain(none).collect()
    }

    /// Each setting with its value as text, if it has one, and where that value came from.
    pub(crate) fn values(&self) -> impl Iterator<Item = (&'static Var, Option<String>, &Source)> {
        VARS.iter().zip(&self.sources).map(|(var, source)| (var, self.value(var.key), source))
    }
}

impl Sources<'_> {
    /// Resolves the settings at the top level, or those of a group. Returns the problems after those given.
    fn resolve(
        &self,
        group: Option<&GroupTable>,
        problems: Problems,
    ) -> (Option<Config>, Problems) {
        let Self { defaults, file, environment, .. } = *self;
        let mut layers = Layers::merge(self, group, problems);
        let parsed = Parsed::of(&mut layers);
        check_grace(&parsed, &mut layers);
        check_deployment(&parsed, &mut layers);
        check_log_filter(environment, &mut layers);
        check_types(&parsed, defaults, &mut layers);
        let (telemetry, problems) = otel::Settings::read(environment);
        for (what, rule) in problems {
            layers.complain(what, Source::Environment, rule);
        }
        let base = ConfigBase {
            fleet: defaults.fleet.clone(),
            version: defaults.version.clone(),
            telemetry,
            file: file.map(|file| file.path.clone()),
            sources: VARS.iter().map(|var| layers.source(var.key)).collect(),
            environment: environment.clone(),
        };
        let config = Config::complete(&parsed, base).map(|mut config| {
            let names = config.deployment_name.clone().zip(config.worker_build_id.clone());
            config.deployment = names.map(|(name, build_id)| Deployment {
                name,
                build_id,
                behavior: config.versioning_behavior,
            });
            config
        });
        (config, layers.into_problems())
    }

    /// The group that a flag or the environment names.
    fn chosen_group<'a>(
        &self,
        tables: &'a [GroupTable],
        problems: &mut Problems,
    ) -> Option<&'a GroupTable> {
        let flag =
            |key| self.flags.iter().find(|(flag, _)| *flag == key).map(|(_, value)| &**value);
        let (name, what, source) = match (flag("group"), self.environment.get("FLEET_GROUP")) {
            (Some(name), _) => (name, "--group", Source::Flag),
            (None, Some(name)) => (name, "FLEET_GROUP", Source::Environment),
            (None, None) => return None,
        };
        let Some(table) = tables.iter().find(|table| table.name == name) else {
            let rule = match self.file {
                Some(_) if !tables.is_empty() => {
                    unknown_among("group", name, tables.iter().map(|table| &*table.name))
                }
                _ => {
                    "there is no settings file with a table for it, such as [workers.orders]".into()
                }
            };
            problems.add(format!("{what}={name:?}"), source, rule);
            return None;
        };
        let role = flag("role").map(|role| ("--role", role, Source::Flag));
        let variable = self.environment.get("FLEET_ROLE");
        let role = role.or(variable.map(|role| ("FLEET_ROLE", role, Source::Environment)));
        if let Some((what, role, source)) = role
            && role != table.role.as_str()
        {
            let rule = format!("the group {name} has the role {}: leave it out", table.role);
            problems.add(format!("{what}={role:?}"), source, rule);
        }
        Some(table)
    }
}

fn check_grace(parsed: &Parsed, layers: &mut Layers<'_>) {
    let Some(drain_timeout) = parsed.drain_timeout else { return };
    if drain_timeout.is_zero() {
        layers.problem("drain_timeout", "must be longer than zero");
    } else if parsed.activity_grace.is_some_and(|grace| grace >= drain_timeout) {
        let rule = format!("must be shorter than the drain timeout ({})", show(drain_timeout));
        layers.problem("activity_grace", rule);
    }
}

fn check_deployment(parsed: &Parsed, layers: &mut Layers<'_>) {
    let missing = match (&parsed.deployment_name, &parsed.worker_build_id) {
        (Some(_), None) => Some(("deployment_name", "TEMPORAL_WORKER_BUILD_ID")),
        (None, Some(_)) => Some(("worker_build_id", "TEMPORAL_DEPLOYMENT_NAME")),
        _ => None,
    };
    if let Some((key, missing)) = missing {
        layers.problem(key, format!("a versioned worker needs {missing} too"));
    }
}

/// Checks that the program has the types that a worker is to register.
fn check_types(parsed: &Parsed, defaults: &Defaults, layers: &mut Layers<'_>) {
    let lists = [
        ("workflows", "workflow", &parsed.workflows, &defaults.workflow_types),
        ("activities", "activity", &parsed.activities, &defaults.activity_types),
    ];
    for (key, what, chosen, known) in lists {
        let is_known = |name: &&str| known.iter().any(|known| is_name_of(name, known));
        let unknown = chosen.iter().flat_map(Names::iter).find(|name| !is_known(name));
        if let Some(name) = unknown {
            let names = known.iter().map(|known| known.rsplit("::").next().unwrap_or(known));
            let rule = if known.is_empty() {
                format!("the program has no {key}")
            } else {
                format!("{name:?}: {}", unknown_among(what, name, names))
            };
            layers.problem(key, rule);
        }
    }
}

fn check_log_filter(environment: &Environment, layers: &mut Layers<'_>) {
    if let Some(directives) = environment.get("RUST_LOG")
        && let Err(error) = tracing_subscriber::EnvFilter::try_new(directives)
    {
        let what = format!("RUST_LOG={directives:?}");
        layers.complain(what, Source::Environment, format!("not a log filter: {error}"));
    }
}
