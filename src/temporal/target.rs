//! The description of the server in error messages.

use std::{borrow::Cow, error::Error as _, time::Duration};

use temporalio_client::{
    ConnectionOptions,
    tonic::{Code, Status},
};

use super::{
    options::{Payloads, options, shown_address},
    rate_limits::is_too_large,
};
use crate::{
    config::connect::ConnectSettings,
    error::{Error, root_cause},
    text::one_line,
};

/// The server's address, and what errors about the server need besides.
#[derive(Clone)]
pub(crate) struct Target {
    /// The address as a URL, without a final slash.
    pub(crate) address: String,
    /// How long to wait for a server that does not answer.
    pub(crate) connect_timeout: Duration,
    /// What to do when the server is not there; empty where nothing is known.
    hint: &'static str,
}

impl Target {
    /// The server that the settings name.
    ///
    /// # Errors
    /// [`Error::ConnectionConfig`] if the settings of the connection are wrong.
    pub(crate) fn of(settings: &ConnectSettings) -> Result<Self, Error> {
        let described = options(settings, "", Payloads::Read)?;
        Ok(Self::new(&described.connection, settings.connect_timeout))
    }

    pub(super) fn new(connection: &ConnectionOptions, connect_timeout: Duration) -> Self {
        Self { address: shown_address(connection), connect_timeout, hint: start_hint(connection) }
    }

    /// The error for a server that did not answer within the connect timeout. `hint` says what may be
    /// wrong; where it is empty, the error says how to start a server if the address is the default one.
    pub(crate) fn unreachable(&self, cause: String, hint: Cow<'static, str>) -> Error {
        Error::Unreachable {
            address: self.address.clone(),
            tried: self.connect_timeout,
            cause,
            hint: if hint.is_empty() { self.hint.into() } else { hint },
        }
    }

    /// The error for a server that answered a call with `status`. `what` is a verb phrase that says
    /// what the call was for.
    pub(crate) fn refusal(&self, what: &'static str, status: &Status) -> Error {
        let cause = describe(status);
        match status.code() {
            Code::Unauthenticated | Code::PermissionDenied => {
                Error::Refused { address: self.address.clone(), cause }
            }
            // It does not pass, as a rate limit does, which has the same code.
            _ if is_too_large(status) => Error::Rpc { what, cause, code: Code::InvalidArgument },
            code => Error::Rpc { what, cause, code },
        }
    }
}

/// A gRPC status as one phrase.
pub(crate) fn describe(status: &Status) -> String {
    let message =
        if status.message().is_empty() { status.code().description() } else { status.message() };
    match status.source().map(root_cause) {
        // Where the address is a host name, the SDK balances over its addresses, and message and cause
        // are the same.
        Some(cause) if !message.contains(&cause) => one_line(&format!("{message}: {cause}")),
        _ => one_line(message),
    }
}

fn start_hint(options: &ConnectionOptions) -> &'static str {
    let is_default =
        options.target.host_str() == Some("localhost") && options.target.port() == Some(7233);
    if is_default { "; start one with fleet up --dev-server, or set TEMPORAL_ADDRESS" } else { "" }
}
