//! [`Fleet`]: what a fleet is made of, and its `main`.

use std::{fmt, num::NonZeroUsize, path::Path, thread::available_parallelism};

use opentelemetry_sdk::trace::SdkTracerProvider;
use temporalio_common::{WorkflowDefinition, worker::WorkerDeploymentOptions};
use temporalio_sdk::{WorkerOptions, WorkflowRegistrationError, activities::ActivityImplementer};
use temporalio_workflow::workflows::WorkflowImplementation;

use crate::{
    config::{
        Config, ConfigError,
        environment::Environment,
        layers::{Defaults, Overrides},
        role::Role,
    },
    error::Error,
    process::identity::{own_build_id, own_version},
    telemetry::{Service, Telemetry, Traces},
    workloads::load::{LoadActivities, LoadWorkflow},
};

type RegisterWorkflow = fn(&mut WorkerOptions) -> Result<(), WorkflowRegistrationError>;

/// A fleet: its name, its workflows and its activities.
///
/// [`Fleet::main`] makes it a program with every command; see the crate's
/// [quick start](crate#quick-start).
pub struct Fleet {
    defaults: Defaults,
    workflow_id_prefix: String,
    workflows: Vec<(&'static str, RegisterWorkflow)>,
    /// Holds the registered activities; the queue and the rest are set for each worker.
    activities: WorkerOptions,
    has_activities: bool,
    tracing: Tracing,
}

/// Where a fleet's traces go.
enum Tracing {
    /// Where the environment says.
    Environment,
    /// Where the program says.
    By(SdkTracerProvider),
    /// Nowhere.
    Off,
}

impl fmt::Debug for Fleet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let workflows: Vec<_> = self.workflows.iter().map(|(name, _)| name).collect();
        f.debug_struct("Fleet")
            .field("defaults", &self.defaults)
            .field("workflows", &workflows)
            .finish_non_exhaustive()
    }
}

impl Fleet {
    /// A fleet without work yet. The name is what its default task queues start with
    /// (`orders-workflows` and `orders-activities`), so that two fleets in one namespace do not
    /// take each other's tasks.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self {
            defaults: Defaults {
                fleet: name.to_owned(),
                workflow_task_queue: format!("{name}-workflows"),
                activity_task_queue: format!("{name}-activities"),
                activity_threads: available_parallelism().unwrap_or(NonZeroUsize::MIN),
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

    /// Registers a workflow. The first one is what `fleet starter` starts by default.
    #[must_use]
    pub fn workflow<W>(mut self) -> Self
    where
        W: WorkflowImplementation,
        <W::Run as WorkflowDefinition>::Input: Send,
    {
        self.workflows.push((W::name(), |options| {
            options.register_workflow::<W>()?;
            Ok(())
        }));
        self
    }

    /// Registers the activities of `implementer`, which all workers of this process share.
    #[must_use]
    pub fn activities<A: ActivityImplementer>(mut self, implementer: A) -> Self {
        self.activities.register_activities(implementer);
        self.has_activities = true;
        self
    }

    /// Registers the workflow and the activity of [`load`](crate::load), a workload to measure the
    /// fleet's workers with: `fleet bench` then starts that by default, and nothing of the fleet's own.
    #[must_use]
    pub fn load_workload(self) -> Self {
        self.workflow::<LoadWorkflow>().activities(LoadActivities)
    }

    /// The default name of the queue of workflows, in place of `<name>-workflows`.
    #[must_use]
    pub fn workflow_task_queue(mut self, queue: &str) -> Self {
        queue.clone_into(&mut self.defaults.workflow_task_queue);
        self
    }

    /// The default name of the queue of activities, in place of `<name>-activities`.
    #[must_use]
    pub fn activity_task_queue(mut self, queue: &str) -> Self {
        queue.clone_into(&mut self.defaults.activity_task_queue);
        self
    }

    /// How many threads asynchronous activities share, in place of one for each core.
    ///
    /// With 1 they run on the thread that polls: a fifth less CPU time for an activity that only waits
    /// (`docs/performance.md`), and one that computes keeps its worker from polling. Synchronous activities,
    /// and what is handed to `spawn_blocking`, have threads of their own in any case, and use every core.
    #[must_use]
    pub fn activity_threads(mut self, threads: NonZeroUsize) -> Self {
        self.defaults.activity_threads = threads;
        self
    }

    /// What the ids of workflows that `fleet starter` starts begin with, in place of the name.
    #[must_use]
    pub fn workflow_id_prefix(mut self, prefix: &str) -> Self {
        prefix.clone_into(&mut self.workflow_id_prefix);
        self
    }

    /// Declares an environment variable of the program's own, as `FLEET_API_URL`. Names that begin
    /// with `FLEET_` are otherwise errors unless they are settings, because they are most often
    /// settings with a typing error.
    #[must_use]
    pub fn known_env(mut self, name: &str) -> Self {
        self.defaults.known_variables.push(name.to_owned());
        self
    }

    /// The program's version, as `--version` and `/status` show it: `env!("CARGO_PKG_VERSION")` is
    /// the usual one. Without it they show this crate's.
    #[must_use]
    pub fn version(mut self, version: &str) -> Self {
        version.clone_into(&mut self.defaults.version);
        self
    }

    /// Sends traces by a provider of the program's own, whatever the environment says; a program that
    /// has one flushes it, too. It needs the SDK's
    /// [`WorkflowIdGenerator`](temporalio_sdk::opentelemetry::WorkflowIdGenerator), and its processors
    /// the SDK's
    /// [`WorkflowSpanProcessor`](temporalio_sdk::opentelemetry::WorkflowSpanProcessor) around them, so
    /// that what is replayed is not sent again.
    #[must_use]
    pub fn tracer_provider(mut self, provider: SdkTracerProvider) -> Self {
        self.tracing = Tracing::By(provider);
        self
    }

    /// Sends no traces, whatever the environment says.
    #[must_use]
    pub fn without_traces(mut self) -> Self {
        self.tracing = Tracing::Off;
        self
    }

    /// The settings of this fleet in `environment`, and in the file that it names or `fleet.toml`.
    ///
    /// # Errors
    /// Every problem in one [`ConfigError`].
    pub fn config(&self, environment: Environment) -> Result<Config, ConfigError> {
        self.config_with(None, environment, &Overrides::new())
    }

    pub(crate) fn config_with(
        &self,
        file: Option<&Path>,
        environment: Environment,
        flags: &Overrides,
    ) -> Result<Config, ConfigError> {
        Config::resolve(&self.defaults, file, environment, flags)
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
            Tracing::By(provider) => {
                Some(Traces::with_provider(provider.clone(), settings, environment))
            }
            Tracing::Off => None,
        };
        Ok(Telemetry::default().with_traces(traces))
    }

    /// The type of the workflow that `fleet starter` starts when none is named.
    pub(crate) fn default_workflow_type(&self) -> Option<&'static str> {
        self.workflows.first().map(|(name, _)| *name)
    }

    /// Whether it has a workflow of this type.
    pub(crate) fn has_workflow(&self, workflow_type: &str) -> bool {
        self.workflows.iter().any(|(name, _)| *name == workflow_type)
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

    /// Worker options in which all that `role` serves is registered, and nothing else.
    pub(crate) fn registered(&self, role: Role) -> Result<WorkerOptions, Error> {
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
            for (_, register) in &self.workflows {
                register(&mut options)?;
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

/// Options for a worker in which nothing is set yet, not even the queue.
///
/// They name the build, for people who read histories, by the program's size and age. The SDK's own
/// default reads the whole program for a checksum, at every start: a second for a debug build.
fn blank_options() -> WorkerOptions {
    WorkerOptions::new("set for each worker")
        .deployment_options(WorkerDeploymentOptions::from_build_id(own_build_id()))
        .build()
}
