//! [`Fleet`]: the workflows, activities and defaults of a program.

use std::{
    collections::HashMap, fmt, num::NonZeroUsize, path::Path, thread::available_parallelism,
};

use opentelemetry_sdk::trace::SdkTracerProvider;
use temporalio_common::{WorkflowDefinition, worker::WorkerDeploymentOptions};
use temporalio_sdk::{
    WorkerOptions, WorkflowRegistrationError,
    activities::{ActivityDefinitions, ActivityImplementer},
};
use temporalio_workflow::workflows::WorkflowImplementation;

use crate::{
    config::{
        Config, ConfigError, Names,
        environment::Environment,
        layers::{Defaults, Overrides},
        role::Role,
    },
    error::Error,
    process::identity::{own_build_id, own_version},
    telemetry::{Service, Telemetry, Traces},
    user_code::input::{CheckInput, check_input},
    workloads::load::{LoadActivities, LoadWorkflow},
};

type RegisterWorkflow = fn(&mut WorkerOptions) -> Result<(), WorkflowRegistrationError>;

/// A workflow that is registered.
struct RegisteredWorkflow {
    name: &'static str,
    register: RegisterWorkflow,
    check_input: CheckInput,
}

/// A fleet: its name, its workflows, its activities, and defaults for its settings.
///
/// [`Fleet::main`] turns it into a program with every command; see the crate's
/// [quick start](crate#quick-start). Each method that sets a default returns the fleet. What a user
/// sets by a flag, a variable or `fleet.toml` overrides these defaults.
pub struct Fleet {
    defaults: Defaults,
    workflow_id_prefix: String,
    workflows: Vec<RegisteredWorkflow>,
    /// Only the registered activities in it are used. [`Fleet::registered`] copies it for each worker.
    activities: WorkerOptions,
    has_activities: bool,
    tracing: Tracing,
}

/// Where a fleet sends its traces.
enum Tracing {
    /// To the collector that the environment names, if any.
    Environment,
    /// To a provider that the program supplies.
    Provider(SdkTracerProvider),
    Off,
}

impl fmt::Debug for Fleet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let workflows: Vec<_> = self.workflows.iter().map(|workflow| workflow.name).collect();
        f.debug_struct("Fleet")
            .field("defaults", &self.defaults)
            .field("workflows", &workflows)
            .finish_non_exhaustive()
    }
}

impl Fleet {
    /// Creates a fleet that has no workflows and no activities yet.
    ///
    /// `name` is the prefix of its default task queues: `orders` has `orders-workflows` and
    /// `orders-activities`. So two fleets in one namespace do not take each other's tasks.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self {
            defaults: Defaults {
                fleet: name.to_owned(),
                workflow_task_queue: format!("{name}-workflows"),
                activity_task_queue: format!("{name}-activities"),
                activity_threads: available_parallelism().unwrap_or(NonZeroUsize::MIN),
                workflow_types: Vec::new(),
                activity_types: Vec::new(),
                known_variables: Vec::new(),
                version: own_version(),
            },
            workflow_id_prefix: name.to_owned(),
            workflows: Vec::new(),
            activities: blank_options(),
            has_activities: false,
            tracing: Tracing::Environment,
        }
    }

    /// Registers a workflow, under the type name that the SDK's macro gives it. The first registered
    /// workflow is the one that `fleet starter` and `fleet demo` start by default.
    #[must_use]
    pub fn workflow<W>(mut self) -> Self
    where
        W: WorkflowImplementation,
        <W::Run as WorkflowDefinition>::Input: Send,
    {
        let register: RegisterWorkflow = |options| {
            options.register_workflow::<W>()?;
            Ok(())
        };
        let (name, check_input) = (W::name(), check_input::<W> as CheckInput);
        self.workflows.push(RegisteredWorkflow { name, register, check_input });
        self
    }

    /// Registers the activities of `implementer`. All workers of this process share that value.
    #[must_use]
    pub fn activities<A: ActivityImplementer>(mut self, implementer: A) -> Self {
        self.activities.register_activities(implementer);
        self.has_activities = true;
        self
    }

    /// Registers the workflow and the activity of [`load`](crate::load), a workload that measures the
    /// fleet's workers. `fleet bench` then starts that workflow by default, and none of the fleet's own.
    #[must_use]
    pub fn load_workload(self) -> Self {
        self.workflow::<LoadWorkflow>().activities(LoadActivities)
    }

    /// Sets the default task queue of workflows. Without this it is `<name>-workflows`.
    #[must_use]
    pub fn workflow_task_queue(mut self, queue: &str) -> Self {
        queue.clone_into(&mut self.defaults.workflow_task_queue);
        self
    }

    /// Sets the default task queue of activities. Without this it is `<name>-activities`.
    #[must_use]
    pub fn activity_task_queue(mut self, queue: &str) -> Self {
        queue.clone_into(&mut self.defaults.activity_task_queue);
        self
    }

    /// Sets the default number of threads that the asynchronous activities of a worker share. Without
    /// this it is the number of cores.
    ///
    /// With 1 they run on the thread that polls. An activity that only waits then takes a fifth less
    /// CPU time (`docs/performance.md`), but one that computes keeps its worker from polling.
    /// Synchronous activities, and closures passed to `spawn_blocking`, run on threads of their own in
    /// any case, and use every core.
    #[must_use]
    pub fn activity_threads(mut self, threads: NonZeroUsize) -> Self {
        self.defaults.activity_threads = threads;
        self
    }

    /// Sets the default prefix of the ids of the workflows that `fleet starter` starts. Without this it
    /// is the fleet's name.
    #[must_use]
    pub fn workflow_id_prefix(mut self, prefix: &str) -> Self {
        prefix.clone_into(&mut self.workflow_id_prefix);
        self
    }

    /// Declares an environment variable that the program itself reads, such as `FLEET_API_URL`. Every
    /// other variable that begins with `FLEET_` and is not a setting is an error, because it most
    /// likely is a setting with a typing error.
    #[must_use]
    pub fn known_env(mut self, name: &str) -> Self {
        self.defaults.known_variables.push(name.to_owned());
        self
    }

    /// Sets the version that `--version` and `/status` show, usually `env!("CARGO_PKG_VERSION")`.
    /// Without this they show the version of this crate.
    #[must_use]
    pub fn version(mut self, version: &str) -> Self {
        version.clone_into(&mut self.defaults.version);
        self
    }

    /// Sends traces through `provider`, whatever the environment says. The program has to flush it.
    ///
    /// The provider must use the SDK's
    /// [`WorkflowIdGenerator`](temporalio_sdk::opentelemetry::WorkflowIdGenerator), and each of its
    /// processors must be wrapped in the SDK's
    /// [`WorkflowSpanProcessor`](temporalio_sdk::opentelemetry::WorkflowSpanProcessor). Otherwise spans
    /// are sent again when a workflow is replayed.
    #[must_use]
    pub fn tracer_provider(mut self, provider: SdkTracerProvider) -> Self {
        self.tracing = Tracing::Provider(provider);
        self
    }

    /// Sends no traces, whatever the environment says.
    #[must_use]
    pub fn without_traces(mut self) -> Self {
        self.tracing = Tracing::Off;
        self
    }

    /// Resolves the settings of this fleet. Each is taken from `environment`; if it is not there, from
    /// the file that `FLEET_CONFIG` names, or `fleet.toml` in the working directory; and if it is not
    /// there either, from the defaults.
    ///
    /// # Errors
    /// [`ConfigError`], which lists every setting that is wrong, and not only the first.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "public: the settings are of that environment"
    )]
    pub fn config(&self, environment: Environment) -> Result<Config, ConfigError> {
        self.config_with(None, &environment, &Overrides::new())
    }

    pub(crate) fn config_with(
        &self,
        file: Option<&Path>,
        environment: &Environment,
        flags: &Overrides,
    ) -> Result<Config, ConfigError> {
        let defaults = Defaults {
            workflow_types: self
                .workflows
                .iter()
                .map(|workflow| workflow.name.to_owned())
                .collect(),
            activity_types: activity_types(&self.activities.activities()),
            ..self.defaults.clone()
        };
        Config::resolve(&defaults, file, environment, flags)
    }

    /// Starts the traces and logs of a process in `role`, which is a worker's role or a command.
    ///
    /// # Errors
    /// [`Error::Telemetry`].
    pub(crate) fn telemetry(&self, config: &Config, role: &str) -> Result<Telemetry, Error> {
        self.traces_only(config, role)?.with_logs(&config.telemetry, &service(config, role))
    }

    /// Starts traces only, for a worker that is embedded in a program with a log of its own.
    ///
    /// # Errors
    /// [`Error::Telemetry`].
    pub(crate) fn traces_only(&self, config: &Config, role: &str) -> Result<Telemetry, Error> {
        let (settings, environment) = (&config.telemetry, &config.environment);
        let traces = match &self.tracing {
            Tracing::Environment => Traces::start(settings, &service(config, role), environment)?,
            Tracing::Provider(provider) => {
                Some(Traces::with_provider(provider.clone(), settings, environment))
            }
            Tracing::Off => None,
        };
        Ok(Telemetry::default().with_traces(traces))
    }

    /// The type of the workflow that `fleet starter` starts if the user names none.
    pub(crate) fn default_workflow_type(&self) -> Option<&'static str> {
        self.workflows.first().map(|workflow| workflow.name)
    }

    /// Whether a workflow of this type is registered.
    pub(crate) fn has_workflow(&self, workflow_type: &str) -> bool {
        self.workflows.iter().any(|workflow| workflow.name == workflow_type)
    }

    /// For each registered workflow, what decodes its input.
    pub(crate) fn input_checks(&self) -> HashMap<&'static str, CheckInput> {
        self.workflows.iter().map(|workflow| (workflow.name, workflow.check_input)).collect()
    }

    pub(crate) fn shown_version(&self) -> &str {
        &self.defaults.version
    }

    pub(crate) fn has_activities(&self) -> bool {
        self.has_activities
    }

    pub(crate) fn default_workflow_id_prefix(&self) -> &str {
        &self.workflow_id_prefix
    }

    /// Worker options with the workflows and activities that `role` serves, and nothing else; of the workflows only
    /// `chosen` ones, if any are. The SDK polls for what is registered.
    ///
    /// # Errors
    /// [`Error::NothingRegistered`] if there is nothing for `role`; [`Error::Registration`].
    pub(crate) fn registered(
        &self,
        role: Role,
        chosen: Option<&Names>,
    ) -> Result<WorkerOptions, Error> {
        let missing = |missing| Error::NothingRegistered { role, missing };
        if role.runs_workflows() && self.workflows.is_empty() {
            return Err(missing("workflow"));
        }
        if role == Role::ActivityWorker && !self.has_activities {
            return Err(missing("activities"));
        }
        let mut options =
            if role.runs_activities() { self.activities.clone() } else { blank_options() };
        if role.runs_workflows() {
            let is_chosen = |name| chosen.is_none_or(|chosen| chosen.select(name));
            for workflow in self.workflows.iter().filter(|workflow| is_chosen(workflow.name)) {
                (workflow.register)(&mut options)?;
            }
        }
        Ok(options)
    }
}

/// Describes a process in `role` for what it exports.
pub(crate) fn service(config: &Config, role: &str) -> Service {
    Service {
        fleet: config.fleet.clone(),
        version: config.version.clone(),
        role: role.to_owned(),
        deployment: config.deployment.as_ref().map(|deployment| deployment.name.clone()),
        build_id: build_id(config),
    }
}

/// The build that histories and `/status` name.
pub(crate) fn build_id(config: &Config) -> String {
    let deployment = config.deployment.as_ref();
    deployment.map_or_else(own_build_id, |deployment| deployment.build_id.clone())
}

/// The types of registered activities. The SDK lists them for people only, as `["charge", "refund"]`.
fn activity_types(activities: &ActivityDefinitions) -> Vec<String> {
    let shown = format!("{activities:?}");
    let list = shown.split_once('[').and_then(|(_, list)| list.rsplit_once(']'));
    let mut types: Vec<String> = list
        .and_then(|(list, _)| serde_json::from_str(&format!("[{list}]")).ok())
        .unwrap_or_default();
    types.sort_unstable();
    types
}

/// Options for a worker that have only a build id. Even the task queue is a placeholder.
///
/// The build id, which people see in histories, is made of the program's size and age. The SDK's
/// default is a checksum of the whole program, which takes a second at every start of a debug build.
fn blank_options() -> WorkerOptions {
    WorkerOptions::new("set for each worker")
        .deployment_options(WorkerDeploymentOptions::from_build_id(own_build_id()))
        .build()
}
