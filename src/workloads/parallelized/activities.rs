//! The sample's activity.

#![expect(missing_docs, reason = "the SDK's macros make public items without documentation")]

use temporalio_sdk::activities::{ActivityContext, ActivityError, activities};

use crate::user_code::label::worker_label;

/// The sample's activities.
pub struct EchoActivities;

#[activities]
impl EchoActivities {
    /// Returns its input, followed by the label of the process that runs it.
    ///
    /// # Errors
    /// It does not fail.
    #[activity(name = "echo_pid_activity")]
    pub async fn echo_pid_activity(
        _ctx: ActivityContext,
        input: String,
    ) -> Result<String, ActivityError> {
        Ok(format!("{input} | activity-pid:{}", worker_label()))
    }
}
