//! Orders for the `orders` example, named by their outcome.

use super::{Process, World, eventually};
use crate::server::{pending_timers, the_workflow};

/// An order that is charged at the second attempt, held for a moment, and shipped.
pub(crate) const RETRIED: &str = r#"{"id": "1", "items": ["a"], "hold_ms": 300, "pack_ms": 50}"#;

/// An order that is held for a minute, unless it is expedited.
pub(crate) const HELD: &str = r#"{"id": "1", "items": ["a"], "hold_ms": 60000, "card": "valid"}"#;

/// An order that fails at once.
pub(crate) const STOLEN: &str = r#"{"id": "1", "items": [], "card": "stolen"}"#;

/// Starts an order, waits until it is held, and returns the starter and the workflow's id.
#[track_caller]
pub(crate) fn held_order(world: &World) -> (Process, String) {
    let mut starter = world.orders(["starter", "-n", "1", "--input", HELD]);
    starter.args(["--workflow-id-prefix", &world.id()]);
    let starter = Process::start(starter);
    let id = the_workflow(&world.workflow_queue());
    eventually("the order is held", || pending_timers(&id) == 1);
    (starter, id)
}
