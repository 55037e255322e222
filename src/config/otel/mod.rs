//! OpenTelemetry's own variables (`OTEL_*`): for each signal, where it is sent, how, and what is sent.
//!
//! They are read here and nowhere else. The `opentelemetry` crates read some of them by themselves, but take a value
//! that they cannot parse for unset, and know only the environment of this process. Here a wrong value is a problem
//! like that of any other setting, and a value that has no effect is refused.

mod batches;
mod endpoint;
mod reader;
mod settings;
mod signal;

pub(crate) use self::{
    endpoint::{Endpoint, Protocol},
    reader::{describe, shown_url},
    settings::{Propagators, Settings},
};
