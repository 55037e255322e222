//! What the commands that start workflows say when nothing ends, or when the server limits their calls.

use temporalio_client::Client;

use crate::{
    config::Config,
    error::CommandError,
    temporal::{
        rate_limits::RateLimits,
        target::Target,
        task_queue::{self, Poller, TaskKind},
    },
    terminal::announce::Announce,
    text::{cut, one_line, shell_word},
    timeline::TimelineReader,
};

/// How many of the things that a workflow waits for are printed.
const MOST_WAITS: usize = 5;
/// How long a line may be that quotes a failure, in columns.
const LONGEST: usize = 600;

/// Finds out why no workflow ends, by looking at one of them.
#[derive(Clone)]
pub(super) struct SilenceHint {
    bin: String,
    client: Client,
    target: Target,
    limits: RateLimits,
    /// The task queue on which the workflows were started.
    queue: String,
    /// The task queue whose workflow tasks this fleet's workers poll.
    own_queue: String,
    /// Why this fleet's workers cannot run the workflows.
    problem: Option<String>,
}

impl SilenceHint {
    pub(super) fn new(
        bin: &str,
        client: &Client,
        target: &Target,
        limits: &RateLimits,
        queue: &str,
        config: &Config,
    ) -> Self {
        Self {
            bin: bin.to_owned(),
            client: client.clone(),
            target: target.clone(),
            limits: limits.clone(),
            queue: queue.to_owned(),
            own_queue: config.workflow_task_queue.clone(),
            problem: None,
        }
    }

    pub(super) fn with_problem(mut self, problem: Option<String>) -> Self {
        self.problem = problem;
        self
    }

    /// Prints why nothing has ended for a while. `workflow_id` is a workflow that has not ended; `counts` says
    /// how many have, and for how long there was none.
    pub(super) async fn print(self, workflow_id: Option<String>, counts: String) {
        let mut lines = Vec::new();
        let pollers = task_queue::pollers(&self.client, &self.queue, TaskKind::Workflow).await;
        if pollers.is_ok_and(|pollers| pollers.iter().all(Poller::is_gone)) {
            lines.push(no_poller(&self.bin, &self.queue, &self.own_queue));
        }
        match (&workflow_id, lines.is_empty()) {
            (None, _) => match self.limits.sentence() {
                Some(sentence) => lines.push(format!("no workflow is started yet: {sentence}")),
                None if lines.is_empty() => lines.push(format!("{counts}, and none is started")),
                None => {}
            },
            (Some(id), true) => {
                let waits = self.waits(id).await.unwrap_or_default();
                let colon = if waits.is_empty() { "" } else { &format!("; {id} waits for:") };
                lines.push(format!("{counts}{colon}"));
                lines.extend(waits.into_iter().map(|wait| format!("  {wait}")));
                lines.extend(self.problem.as_ref().map(|problem| format!("  {problem}")));
                lines.extend(self.limits.sentence());
            }
            (Some(_), false) => {
                let sentence = self.limits.sentence();
                let refused = |limit| format!("{limit}; it may refuse workers' polls as well");
                lines.extend(sentence.map(refused));
            }
        }
        if let Some(id) = workflow_id {
            lines.push(format!("to see more: {} trace {}", self.bin, shell_word(&id)));
        }
        for line in lines {
            Announce::Stderr.say(&one_line(&line));
        }
    }

    /// What the workflow waits for, a line for each; nothing if it has ended meanwhile.
    async fn waits(&self, workflow_id: &str) -> Result<Vec<String>, CommandError> {
        let (client, target) = (self.client.clone(), self.target.clone());
        let timeline = TimelineReader::new(client, target, workflow_id, "").read().await?;
        let mut waits: Vec<_> =
            timeline.waits.iter().take(MOST_WAITS).map(|wait| cut(&wait.text, LONGEST)).collect();
        let more = timeline.waits.len().saturating_sub(MOST_WAITS);
        if more > 0 {
            waits.push(format!("and {more} more"));
        }
        Ok(waits)
    }
}

/// Says that no worker polls `queue`, and what to do: `fleet up` polls only the fleet's own queues.
fn no_poller(bin: &str, queue: &str, own_queue: &str) -> String {
    if queue == own_queue {
        return format!("no worker polls '{queue}': start one with {bin} up");
    }
    format!(
        "no worker polls '{queue}': start a worker for that queue ({bin} up polls '{own_queue}', unless \
         FLEET_WORKFLOW_TASK_QUEUE names another)"
    )
}

/// Says once, as soon as it is known, that the server limits the calls of this process.
pub(super) struct LimitNotice {
    limits: RateLimits,
    is_said: bool,
}

impl LimitNotice {
    pub(super) fn new(limits: &RateLimits) -> Self {
        Self { limits: limits.clone(), is_said: false }
    }

    pub(super) fn say_once(&mut self) {
        if self.is_said {
            return;
        }
        if let Some(sentence) = self.limits.sentence() {
            self.is_said = true;
            Announce::Stderr
                .say(&format!("{sentence}; workflows start and end later than they could"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hint_names_a_command_only_if_it_helps() {
        assert_eq!(no_poller("fleet", "q", "q"), "no worker polls 'q': start one with fleet up");
        let other = no_poller("fleet", "python", "fleet-workflows");
        assert!(other.starts_with("no worker polls 'python': start a worker for that queue"));
        assert!(other.contains("fleet up polls 'fleet-workflows'"), "{other}");
    }
}
