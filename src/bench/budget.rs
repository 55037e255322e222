//! The error budget of a bench: how many workflows may fail (`--max-errors`).

use std::fmt;

/// How many workflows may end other than completed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Budget {
    Count(u64),
    /// From 0 to 100.
    Percent(f64),
}

impl Budget {
    /// Parses `1%` and `3`.
    ///
    /// # Errors
    /// The rule that the text breaks, for a message.
    pub(crate) fn parse(text: &str) -> Result<Self, &'static str> {
        const RULE: &str = "expected a share or a number of workflows, as 1%, 0.1% or 3";
        let Some(percent) = text.strip_suffix('%') else {
            let is_plain = text.bytes().all(|byte| byte.is_ascii_digit());
            return text.parse().ok().filter(|_| is_plain).map(Self::Count).ok_or(RULE);
        };
        let is_plain = percent.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
        let percent = percent.parse().ok().filter(|_| is_plain).ok_or(RULE)?;
        if percent > 100.0 { Err(RULE) } else { Ok(Self::Percent(percent)) }
    }

    /// Whether `errors` of `all` workflows are within the budget.
    pub(super) fn allows(self, errors: u64, all: u64) -> bool {
        #[expect(clippy::cast_precision_loss, reason = "exact up to 2^53")]
        match self {
            Self::Count(most) => errors <= most,
            Self::Percent(most) => errors as f64 * 100.0 <= most * all as f64,
        }
    }
}

impl fmt::Display for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count(count) => write!(f, "{count}"),
            Self::Percent(percent) => write!(f, "{percent}%"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn budget_is_a_share_or_a_number() {
        for (text, most) in [("1%", 10), ("0.1%", 1), ("0", 0), ("3", 3), ("100%", 1000)] {
            let budget = Budget::parse(text).unwrap();
            assert!(budget.allows(most, 1000), "{text}");
            assert!(!budget.allows(most + 1, 1000), "{text}");
            assert_eq!(budget.to_string(), text);
        }
        for wrong in ["", "%", "-1", "+1", "101%", "1.5", "nan%", "1e1%", "x"] {
            assert!(Budget::parse(wrong).is_err(), "{wrong}");
        }
    }
}
