//! What can go wrong, and with which code a command exits then.
//!
//! [`Error`] is what a program that embeds a worker can meet. [`CommandError`] adds what only a command can meet; its
//! messages name flags. Each cause has one exit code, whatever the command.

mod chain;
mod command_error;
mod exit;
mod fleet_error;

pub use self::fleet_error::Error;
pub(crate) use self::{
    chain::{chain, root_cause},
    command_error::CommandError,
    exit::Exit,
};
