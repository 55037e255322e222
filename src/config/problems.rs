//! What is wrong with the settings, as lines for people.

use std::fmt;

use crate::text::one_line;

/// What is wrong with the settings: a line for each problem, which names the setting, where its value came from and
/// the rule.
#[derive(Debug)]
pub struct ConfigError(Vec<String>);

impl std::error::Error for ConfigError {}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("\n"))
    }
}

/// The problems found so far.
#[derive(Default)]
pub(super) struct Problems(Vec<String>);

impl Problems {
    /// Adds a problem with `what`, whose value came from `source`.
    pub(super) fn add(
        &mut self,
        what: impl fmt::Display,
        source: impl fmt::Display,
        rule: impl fmt::Display,
    ) {
        // Some parsers draw the place of an error over several lines; here a problem is one line.
        let rule = rule.to_string();
        let lines = rule.lines().map(str::trim).filter(|line| !line.is_empty());
        let rule = lines.collect::<Vec<_>>().join(" ");
        self.0.push(one_line(&format!("{what} ({source}): {rule}")));
    }

    /// Adds those of the `others` that are not among these. What is wrong with a layer is wrong for each group.
    pub(super) fn add_new(&mut self, others: Self) {
        for other in others.0 {
            if !self.0.contains(&other) {
                self.0.push(other);
            }
        }
    }

    /// # Errors
    /// The problems, if there are any.
    pub(super) fn into_result(self) -> Result<(), ConfigError> {
        if self.0.is_empty() { Ok(()) } else { Err(ConfigError(self.0)) }
    }
}

/// The rule for a name that is no setting's. It offers the `known` name that is nearest.
pub(crate) fn unknown<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> String {
    unknown_among("setting", name, known)
}

/// The same for a name of something else, of which there is at least one.
pub(crate) fn unknown_among<'a>(
    what: &str,
    name: &str,
    known: impl Iterator<Item = &'a str>,
) -> String {
    format!("no such {what}; the nearest is {}", nearest(name, known))
}

/// The `known` name that is nearest to `name`; empty if there is none.
pub(crate) fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> &'a str {
    known
        .max_by(|a, b| strsim::jaro_winkler(name, a).total_cmp(&strsim::jaro_winkler(name, b)))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_name_is_offered_the_nearest_known_one() {
        let known = ["FLEET_ROLE", "FLEET_DRAIN_TIMEOUT", "FLEET_CONNECT_TIMEOUT"];
        let offered = unknown("FLEET_DRAINTIMEOUT", known.into_iter());
        assert_eq!(offered, "no such setting; the nearest is FLEET_DRAIN_TIMEOUT");
    }
}
