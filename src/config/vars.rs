//! A setting as people see it: its key, its environment variable, its default and its meaning.

/// One setting: its key, its environment variable, its default and its meaning.
#[derive(Debug)]
#[non_exhaustive]
pub struct Var {
    /// The key in `fleet.toml`. It is the variable's name without the prefix, in lower case.
    pub key: &'static str,
    /// The environment variable.
    pub env: &'static str,
    /// The default as text. It is empty where there is none.
    pub default: &'static str,
    /// What the setting means, in one line.
    pub meaning: &'static str,
}

impl Var {
    /// Whether the default is a value, and not a description of one.
    pub(crate) fn has_literal_default(&self) -> bool {
        !self.default.is_empty() && !self.default.contains([' ', '<'])
    }

    /// Whether `fleet.toml` can set it. What Temporal's worker controller sets, and which group a process is of, belongs
    /// to a process, not to a file that many processes share.
    pub(crate) fn in_file(&self) -> bool {
        self.env.starts_with("FLEET_") && self.key != "group"
    }

    /// Whether its value is a list, which `fleet.toml` may write as one.
    pub(crate) fn is_list(&self) -> bool {
        matches!(self.key, "activities" | "workflows")
    }
}

/// The variable that names the settings file. It is no setting itself, so it has no key in that file.
pub(crate) const CONFIG_VAR: &str = "FLEET_CONFIG";
