//! A run of a workflow, with the names by which people know it.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::text::escaped;

/// A run of a workflow, with the names by which people know it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct NamedRun {
    pub(crate) workflow_type: String,
    pub(crate) workflow_id: String,
    pub(crate) run_id: String,
}

/// Shown as `LoadWorkflow load-1 (run 0192…)`. Clients choose types and ids, so hidden characters are escaped.
impl fmt::Display for NamedRun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { workflow_type, workflow_id, run_id } = self;
        let names = [workflow_type, workflow_id, run_id].map(|name| escaped(name));
        write!(f, "{} {} (run {})", names[0], names[1], names[2])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_shown_without_hidden_characters() {
        let (workflow_type, run_id) = ("Load".into(), "r".into());
        let run = NamedRun { workflow_type, workflow_id: "a\n\u{1b}[2J\u{202e}".into(), run_id };
        assert_eq!(run.to_string(), "Load a\\n\\u{1b}[2J\\u{202e} (run r)");
    }
}
