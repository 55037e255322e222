//! The OpenTelemetry resource, which identifies the process that exports telemetry.

use std::process;

use opentelemetry::KeyValue;
use opentelemetry_sdk::{
    Resource,
    resource::{ResourceDetector, TelemetryResourceDetector},
};

use crate::{config::otel::Settings, process::identity::identity, user_code::label::hostname};

/// A process as its resource describes it.
#[derive(Clone, Debug)]
pub(crate) struct Service {
    /// The fleet's name: `service.namespace`.
    pub(crate) fleet: String,
    /// The program's version: `service.version`.
    pub(crate) version: String,
    /// The role of a worker, or the command: `fleet.role`, and with `fleet-` before it
    /// `service.name`.
    pub(crate) role: String,
    /// The name of the worker deployment that the process belongs to, if any: `deployment.name`.
    pub(crate) deployment: Option<String>,
    /// The build that the process runs: `deployment.id`.
    pub(crate) build_id: String,
}

impl Service {
    /// The resource of this process on this machine. `OTEL_RESOURCE_ATTRIBUTES` and
    /// `OTEL_SERVICE_NAME` override the attributes that it would have without them.
    pub(super) fn resource(&self, settings: &Settings) -> Resource {
        let Self { fleet, version, role, deployment, build_id } = self;
        let pid = process::id();
        let own = [
            KeyValue::new("service.name", format!("fleet-{role}")),
            KeyValue::new("service.namespace", fleet.clone()),
            KeyValue::new("service.version", version.clone()),
            KeyValue::new("service.instance.id", identity(role, pid)),
            KeyValue::new("host.name", hostname()),
            KeyValue::new("process.pid", i64::from(pid)),
            KeyValue::new("fleet.role", role.clone()),
            KeyValue::new("deployment.id", build_id.clone()),
        ];
        let deployment = deployment.clone().map(|name| KeyValue::new("deployment.name", name));
        let given = settings.attributes.iter().cloned();
        let given = given.map(|(name, value)| KeyValue::new(name, value));
        let given_name = settings.service_name.clone();
        Resource::builder_empty()
            .with_attributes(
                TelemetryResourceDetector
                    .detect()
                    .iter()
                    .map(|(name, value)| KeyValue::new(name.clone(), value.clone())),
            )
            // If two attributes have the same name, the later one wins.
            .with_attributes(own)
            .with_attributes(deployment)
            .with_attributes(given)
            .with_attributes(given_name.map(|name| KeyValue::new("service.name", name)))
            .build()
    }
}
