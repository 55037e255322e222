//! A worker that runs some of the program's activities only.

use temporalio_common::error::ApplicationFailure;
use temporalio_sdk::interceptors::{
    ActivityInboundInterceptor, ExecuteActivityInput, ExecuteActivityOutput, Next,
};

use crate::config::Names;

/// Refuses activities of other types as the SDK refuses those that are not registered. The SDK registers all
/// activities of an implementer at once, and takes none back.
pub(super) struct ChosenActivities(pub(super) Names);

impl ActivityInboundInterceptor for ChosenActivities {
    fn execute_activity<'a>(
        &'a self,
        input: ExecuteActivityInput,
        next: Next<'a, ExecuteActivityInput, ExecuteActivityOutput<'a>>,
    ) -> ExecuteActivityOutput<'a> {
        let activity_type = &input.activity_info().activity_type;
        if self.0.select(activity_type) {
            return next.run(input);
        }
        let message = format!(
            "Activity {activity_type} is not registered on this worker, available activities: {}",
            self.0.iter().collect::<Vec<_>>().join(", ")
        );
        // It is tried again, perhaps on another worker.
        let failure = ApplicationFailure::builder(anyhow::anyhow!(message))
            .type_name("NotFoundError".to_owned())
            .build();
        Box::pin(async move { Err(failure.into()) })
    }
}
