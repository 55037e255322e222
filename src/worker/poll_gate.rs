//! A gate in front of a worker's polls for one kind of task.
//!
//! The SDK takes a slot before each poll and gives it back when the poll brought nothing, or when
//! the task that it brought is done and reported. Therefore, slots of our own can delay polls, and can
//! count the tasks in flight.

use std::{future::pending, sync::Arc, time::Duration};

use async_trait::async_trait;
use temporalio_sdk_core::{
    FixedSizeSlotSupplier, SlotKind, SlotMarkUsedContext, SlotReleaseContext,
    SlotReservationContext, SlotSupplier, SlotSupplierPermit,
};
use tokio::{
    sync::watch,
    time::{Instant, timeout},
};

use crate::process::poll_log::PollLog;

/// Which polls may begin. The order matters: polls are only ever restricted further.
#[derive(Clone, Copy, Debug, Default, PartialEq, PartialOrd)]
pub(super) enum AllowedPolls {
    #[default]
    All,
    /// Polls of the sticky queue only.
    Sticky,
    None,
}

/// What the slots of one kind are used for.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct SlotUse {
    allowed: AllowedPolls,
    /// Polls that are open or about to begin.
    pub(super) polls: usize,
    /// Tasks in flight.
    pub(super) tasks: usize,
    /// How many tasks the polls have brought so far.
    pub(super) tasks_received: usize,
    last_received: Option<Instant>,
}

/// Counts the polls and tasks of one kind, and decides which polls may begin.
#[derive(Clone, Debug)]
pub(super) struct PollGate {
    slots: Arc<watch::Sender<SlotUse>>,
    log: PollLog,
}

impl PollGate {
    /// A gate that allows all polls, and records them in `log`.
    pub(super) fn new(log: PollLog) -> Self {
        Self { slots: Arc::default(), log }
    }

    /// Allows only these polls from now on. Polls that were forbidden before stay forbidden.
    pub(super) fn restrict_to(&self, allowed: AllowedPolls) {
        self.slots.send_modify(|slots| {
            if allowed > slots.allowed {
                slots.allowed = allowed;
            }
        });
    }

    pub(super) fn slot_use(&self) -> SlotUse {
        *self.slots.borrow()
    }

    /// Completes when `condition` holds.
    pub(super) async fn until(&self, condition: impl FnMut(&SlotUse) -> bool) {
        // This fails only without a sender, and `self` has one.
        let _ = self.slots.subscribe().wait_for(condition).await;
    }

    /// Completes when no poll has brought a task for `quiet_time`, or when no poll is left.
    pub(super) async fn until_quiet(&self, quiet_time: Duration) {
        while let Some(last) = self.slot_use().last_received
            && let Some(left) = quiet_time.checked_sub(last.elapsed())
        {
            // While the sticky queue may be polled, there can be no poll for a moment between two.
            let none_left =
                self.until(|slots| slots.polls == 0 && slots.allowed == AllowedPolls::None);
            if timeout(left, none_left).await.is_ok() {
                return;
            }
        }
    }

    /// Counts a poll that is about to begin, and returns true, if that poll is allowed.
    fn begin_poll(&self, sticky: bool) -> bool {
        self.slots.send_if_modified(|slots| {
            let allowed = match slots.allowed {
                AllowedPolls::All => true,
                AllowedPolls::Sticky => sticky,
                AllowedPolls::None => false,
            };
            slots.polls += usize::from(allowed);
            if allowed {
                self.log.begun();
            }
            allowed
        })
    }

    fn poll_brought_task(&self) {
        self.log.answered();
        self.slots.send_modify(|slots| {
            slots.polls -= 1;
            slots.tasks += 1;
            slots.tasks_received += 1;
            slots.last_received = Some(Instant::now());
        });
    }

    fn poll_ended_empty(&self) {
        self.log.answered();
        self.slots.send_modify(|slots| slots.polls -= 1);
    }

    fn task_reported(&self) {
        self.slots.send_modify(|slots| slots.tasks -= 1);
    }
}

/// The SDK's slots behind a gate.
pub(super) struct GatedSlots<K> {
    pub(super) gate: PollGate,
    pub(super) slots: Arc<FixedSizeSlotSupplier<K>>,
}

#[async_trait]
impl<K: SlotKind + Send + Sync> SlotSupplier for GatedSlots<K> {
    type SlotKind = K;

    async fn reserve_slot(&self, ctx: &dyn SlotReservationContext) -> SlotSupplierPermit {
        let permit = self.slots.reserve_slot(ctx).await;
        if self.gate.begin_poll(ctx.is_sticky()) {
            return permit;
        }
        // Another SDK worker of this process can use the slot.
        drop(permit);
        // The SDK stops waiting for a slot when it shuts down.
        pending().await
    }

    fn try_reserve_slot(&self, ctx: &dyn SlotReservationContext) -> Option<SlotSupplierPermit> {
        let permit = self.slots.try_reserve_slot(ctx)?;
        self.gate.begin_poll(ctx.is_sticky()).then_some(permit)
    }

    fn mark_slot_used(&self, _: &dyn SlotMarkUsedContext<SlotKind = K>) {
        self.gate.poll_brought_task();
    }

    fn release_slot(&self, ctx: &dyn SlotReleaseContext<SlotKind = K>) {
        match ctx.info() {
            Some(_) => self.gate.task_reported(),
            None => self.gate.poll_ended_empty(),
        }
    }

    fn available_slots(&self) -> Option<usize> {
        self.slots.available_slots()
    }

    fn slot_supplier_kind(&self) -> String {
        self.slots.slot_supplier_kind()
    }
}
