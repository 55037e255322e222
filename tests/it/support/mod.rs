//! Helpers that the tests share: processes of a fleet, their output, and waiting for conditions.

mod network;
mod orders;
mod output;
mod process;
mod programs;
mod readme;
mod terminal;
mod wait;
mod world;

pub(crate) use network::{free_port, get};
pub(crate) use orders::{HELD, RETRIED, STOLEN, held_order};
pub(crate) use output::{Finished, Lines, labels};
pub(crate) use process::{Process, children_of, kill, run};
pub(crate) use programs::{FLEET, example, program};
pub(crate) use readme::{commands_in, form, readme, readme_blocks};
pub(crate) use terminal::{on_a_terminal, on_a_terminal_until};
pub(crate) use wait::{DEADLINE, eventually};
pub(crate) use world::World;
