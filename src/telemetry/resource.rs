//! Who sends: the resource of all that is exported.

use std::process;

use opentelemetry::KeyValue;
use opentelemetry_sdk::{
    Resource,
    resource::{ResourceDetector, TelemetryResourceDetector},
};

use crate::{
    config::Config,
    process::identity::{identity, own_build_id},
    user_code::label::hostname,
};

/// Who speaks: the role as the service, the fleet as its namespace, the process as its instance. What
/// the environment says of it has the last word.
pub(crate) fn resource(config: &Config, role: &str) -> Resource {
    let (deployment, build_id) = match &config.deployment {
        Some(it) => (Some(it.name.clone()), it.build_id.clone()),
        None => (None, own_build_id()),
    };
    let pid = i64::from(process::id());
    let mut attributes = vec![
        KeyValue::new("service.name", format!("fleet-{role}")),
        KeyValue::new("service.namespace", config.fleet.clone()),
        KeyValue::new("service.version", config.version.clone()),
        KeyValue::new("service.instance.id", identity(role, process::id())),
        KeyValue::new("host.name", hostname()),
        KeyValue::new("process.pid", pid),
        KeyValue::new("fleet.role", role.to_owned()),
        KeyValue::new("deployment.id", build_id),
    ];
    attributes.extend(deployment.map(|name| KeyValue::new("deployment.name", name)));
    let given = config.telemetry.attributes.iter().cloned();
    attributes.extend(given.map(|(name, value)| KeyValue::new(name, value)));
    let name = config.telemetry.service_name.clone();
    attributes.extend(name.map(|name| KeyValue::new("service.name", name)));
    Resource::builder_empty()
        .with_attributes(
            TelemetryResourceDetector
                .detect()
                .iter()
                .map(|(name, value)| KeyValue::new(name.clone(), value.clone())),
        )
        .with_attributes(attributes)
        .build()
}
