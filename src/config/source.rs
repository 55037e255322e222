//! Where the value of a setting came from.

use std::{fmt, path::PathBuf};

use super::{role::Role, vars::Var};

/// Where the value of a setting came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    Default,
    File(PathBuf),
    /// The table of a group in the file.
    Group {
        file: PathBuf,
        group: String,
    },
    Environment,
    Flag,
}

impl Source {
    /// The name that a setting has where its value came from. `role` is that of the group whose setting it is.
    pub(super) fn name_of(&self, var: &Var, role: Option<Role>) -> String {
        match self {
            Self::Flag => format!("--{}", var.key.replace('_', "-")),
            Self::Group { .. } if role.is_some_and(|role| role.queue_key() == var.key) => {
                "task_queue".to_owned()
            }
            Self::File(_) | Self::Group { .. } => var.key.to_owned(),
            Self::Environment | Self::Default => var.env.to_owned(),
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Group { file, group } => write!(f, "{} [workers.{group}]", file.display()),
            Self::Environment => f.write_str("environment"),
            Self::Flag => f.write_str("flag"),
        }
    }
}
