//! From layers to settings: parses all of them, checks what holds between them, and reports every problem at once.

use std::path::Path;

use super::{
    choices::Deployment,
    environment::Environment,
    layers::{Defaults, Layers, Overrides, Source},
    otel,
    problems::ConfigError,
    role::Role,
    settings::{Config, ConfigBase, Parsed, VARS},
    values::show,
    vars::{CONFIG_VAR, Var},
};

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
        let mut layers = Layers::merge(VARS, defaults, file, &environment, flags);
        let parsed = Parsed::of(&mut layers);
        check_grace(&parsed, &mut layers);
        check_deployment(&parsed, &mut layers);
        check_log_filter(&environment, &mut layers);
        let (telemetry, problems) = otel::Settings::read(&environment);
        for (what, rule) in problems {
            layers.complain(what, Source::Environment, rule);
        }
        let base = ConfigBase {
            fleet: defaults.fleet.clone(),
            version: defaults.version.clone(),
            telemetry,
            file: layers.file.clone(),
            sources: VARS.iter().map(|var| layers.source(var.key)).collect(),
            environment,
        };
        layers.into_problems()?;
        let config = Self::complete(&parsed, base);
        let mut config = config.expect("a required setting without a problem has a value");
        let names = config.deployment_name.clone().zip(config.worker_build_id.clone());
        config.deployment = names.map(|(name, build_id)| Deployment {
            name,
            build_id,
            behavior: config.versioning_behavior,
        });
        Ok(config)
    }

    /// These settings for another server: a dev server. Its workers are not versioned, because nobody makes a version
    /// the current one there.
    pub(crate) fn pointed_at(&self, address: &str) -> Self {
        Self {
            environment: self.environment.pointed_at(address),
            deployment: None,
            deployment_name: None,
            worker_build_id: None,
            ..self.clone()
        }
    }

    /// The variables that give a child process in `role` the same settings.
    pub(crate) fn for_child(&self, role: Role) -> Vec<(&'static str, String)> {
        let role = [("FLEET_ROLE", role.to_string())];
        // The role is the child's own. What Temporal's controller sets is in the environment.
        let settings = self.values().filter_map(|(var, value, _)| {
            (var.key != "role" && var.in_file()).then_some((var.env, value?))
        });
        let file = self.file.as_ref().map(|file| (CONFIG_VAR, file.display().to_string()));
        role.into_iter().chain(settings).chain(file).collect()
    }

    /// Each setting with its value as text, if it has one, and where that value came from.
    pub(crate) fn values(&self) -> impl Iterator<Item = (&'static Var, Option<String>, &Source)> {
        VARS.iter().zip(&self.sources).map(|(var, source)| (var, self.value(var.key), source))
    }
}

fn check_grace(parsed: &Parsed, layers: &mut Layers) {
    let Some(drain_timeout) = parsed.drain_timeout else { return };
    if drain_timeout.is_zero() {
        layers.problem("drain_timeout", "must be longer than zero");
    } else if parsed.activity_grace.is_some_and(|grace| grace >= drain_timeout) {
        let rule = format!("must be shorter than the drain timeout ({})", show(drain_timeout));
        layers.problem("activity_grace", rule);
    }
}

fn check_deployment(parsed: &Parsed, layers: &mut Layers) {
    let missing = match (&parsed.deployment_name, &parsed.worker_build_id) {
        (Some(_), None) => Some(("deployment_name", "TEMPORAL_WORKER_BUILD_ID")),
        (None, Some(_)) => Some(("worker_build_id", "TEMPORAL_DEPLOYMENT_NAME")),
        _ => None,
    };
    if let Some((key, missing)) = missing {
        layers.problem(key, format!("a versioned worker needs {missing} too"));
    }
}

fn check_log_filter(environment: &Environment, layers: &mut Layers) {
    if let Some(directives) = environment.get("RUST_LOG")
        && let Err(error) = tracing_subscriber::EnvFilter::try_new(directives)
    {
        let what = format!("RUST_LOG={directives:?}");
        layers.complain(what, Source::Environment, format!("not a log filter: {error}"));
    }
}
