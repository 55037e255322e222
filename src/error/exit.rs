//! How a command ends, as a shell or an orchestrator sees it.

use std::{error::Error as StdError, process::ExitCode};

use temporalio_client::tonic::{Code, Status};

/// How a command ends. The codes from 64 on are those of BSD's `sysexits.h`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// The command did what it was asked to do.
    Success,
    /// A workflow failed, or what a flag asked for was not reached.
    Failed,
    /// The command line is wrong.
    Usage,
    /// Temporal, or the CLI of its dev server, cannot be reached (`EX_UNAVAILABLE`).
    Unavailable,
    /// The fleet could not continue (`EX_SOFTWARE`).
    Software,
    /// The drain deadline passed (`EX_TEMPFAIL`).
    DrainDeadline,
    /// The configuration is wrong, or the server refuses it (`EX_CONFIG`).
    Config,
    /// The code of another process, which this one passes on, or 128 and the number of a signal.
    Other(u8),
}

impl Exit {
    pub(crate) const fn code(self) -> u8 {
        match self {
            Self::Success => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Unavailable => 69,
            Self::Software => 70,
            Self::DrainDeadline => 75,
            Self::Config => 78,
            Self::Other(code) => code,
        }
    }

    /// The exit of a process that ended with `code`.
    pub(crate) fn from_code(code: u8) -> Self {
        let known = [
            Self::Success,
            Self::Failed,
            Self::Usage,
            Self::Unavailable,
            Self::Software,
            Self::DrainDeadline,
            Self::Config,
        ];
        known.into_iter().find(|exit| exit.code() == code).unwrap_or(Self::Other(code))
    }

    /// The exit for a call that the server answered with `code`. It is the same whether a command or the SDK made
    /// the call.
    pub(crate) fn from_status(code: Code) -> Self {
        match code {
            Code::Unauthenticated | Code::PermissionDenied => Self::Config,
            Code::Unavailable | Code::DeadlineExceeded | Code::ResourceExhausted => {
                Self::Unavailable
            }
            _ => Self::Software,
        }
    }

    /// The exit for an error of the SDK: that of the server's answer which caused it, if one did.
    pub(super) fn from_cause(error: &(dyn StdError + 'static)) -> Self {
        let mut next = Some(error);
        while let Some(cause) = next {
            if let Some(status) = cause.downcast_ref::<Status>() {
                return Self::from_status(status.code());
            }
            next = cause.source();
        }
        Self::Software
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("the worker failed")]
    struct Outer(#[source] Status);

    #[test]
    fn an_sdk_error_has_the_exit_code_of_the_servers_answer() {
        for (status, exit) in [
            (Status::permission_denied("no"), Exit::Config),
            (Status::unauthenticated("no"), Exit::Config),
            (Status::unavailable("away"), Exit::Unavailable),
            (Status::resource_exhausted("rate limit"), Exit::Unavailable),
            (Status::internal("bug"), Exit::Software),
        ] {
            assert_eq!(Exit::from_cause(&Outer(status)), exit);
        }
    }

    #[test]
    fn each_exit_is_recognized_by_its_code() {
        for code in 0..=u8::MAX {
            assert_eq!(Exit::from_code(code).code(), code);
        }
    }
}
