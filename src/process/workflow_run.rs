//! What identifies a run of a workflow.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What identifies a run of a workflow.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct WorkflowRun {
    pub(crate) workflow_type: String,
    pub(crate) workflow_id: String,
    pub(crate) run_id: String,
}

/// Shown as `LoadWorkflow load-1 (run 0192…)`. Clients choose types and ids, so control characters are
/// escaped.
impl fmt::Display for WorkflowRun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (before, text, after) in [
            ("", &self.workflow_type, " "),
            ("", &self.workflow_id, " "),
            ("(run ", &self.run_id, ")"),
        ] {
            f.write_str(before)?;
            for character in text.chars() {
                if character.is_control() {
                    write!(f, "{}", character.escape_default())?;
                } else {
                    write!(f, "{character}")?;
                }
            }
            f.write_str(after)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_shown_without_control_characters() {
        let (workflow_type, run_id) = ("Load".into(), "r".into());
        let run = WorkflowRun { workflow_type, workflow_id: "a\n\u{1b}[2J".into(), run_id };
        assert_eq!(run.to_string(), "Load a\\n\\u{1b}[2J (run r)");
    }
}
