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

    /// # Errors
    /// The problems, if there are any.
    pub(super) fn into_result(self) -> Result<(), ConfigError> {
        if self.0.is_empty() { Ok(()) } else { Err(ConfigError(self.0)) }
    }
}

/// The rule for a name that is no setting's. It offers the `known` name that is nearest.
pub(crate) fn unknown<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> String {
    let nearest = known
        .max_by(|a, b| strsim::jaro_winkler(name, a).total_cmp(&strsim::jaro_winkler(name, b)));
    format!("no such setting; the nearest is {}", nearest.unwrap_or_default())
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
