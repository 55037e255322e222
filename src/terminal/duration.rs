//! Durations in the forms in which commands print them. How a duration is written as a setting is
//! [`show`](crate::config::show)'s.

use std::time::Duration;

/// A duration with about three significant digits, in at most seven characters: `3.4 ms`,
/// `12.5 s`, `1h 02m`.
pub(crate) fn short(duration: Duration) -> String {
    let millis = duration.as_secs_f64() * 1000.0;
    let seconds = duration.as_secs();
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    if duration.is_zero() {
        "0 ms".into()
    } else if millis < 9.95 {
        format!("{millis:.1} ms")
    } else if millis < 999.5 {
        format!("{millis:.0} ms")
    } else if millis < 9995.0 {
        format!("{:.2} s", millis / 1000.0)
    } else if minutes == 0 {
        format!("{:.1} s", millis / 1000.0)
    } else if hours == 0 {
        format!("{minutes}m {:02}s", seconds % 60)
    } else if days == 0 {
        format!("{hours}h {:02}m", minutes % 60)
    } else {
        format!("{days}d {:02}h", hours % 24)
    }
}

/// A duration in whole seconds, rounded down: `5s`, `3m 20s`.
pub(crate) fn whole_seconds(duration: Duration) -> String {
    humantime::format_duration(Duration::from_secs(duration.as_secs())).to_string()
}

/// A duration as a number of milliseconds, exact to the microsecond; smaller parts are dropped.
#[expect(clippy::cast_precision_loss, reason = "exact for 285 years")]
pub(crate) fn millis(duration: Duration) -> f64 {
    duration.as_micros() as f64 / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_duration_has_the_unit_that_fits() {
        for (millis, expected) in [
            (0.0, "0 ms"),
            (0.04, "0.0 ms"),
            (1.26, "1.3 ms"),
            (9.97, "10 ms"),
            (999.4, "999 ms"),
            (999.6, "1.00 s"),
            (3420.0, "3.42 s"),
            (9996.0, "10.0 s"),
            (59_960.0, "60.0 s"),
            (61_000.0, "1m 01s"),
            (3_720_000.0, "1h 02m"),
            (90_000_000.0, "1d 01h"),
        ] {
            assert_eq!(short(Duration::from_secs_f64(millis / 1000.0)), expected, "{millis}");
        }
    }

    #[test]
    fn whole_seconds_are_rounded_down() {
        assert_eq!(whole_seconds(Duration::from_millis(5_900)), "5s");
        assert_eq!(whole_seconds(Duration::from_secs(200)), "3m 20s");
        assert_eq!(whole_seconds(Duration::from_millis(900)), "0s");
    }

    #[test]
    fn milliseconds_keep_microseconds() {
        assert!((millis(Duration::from_nanos(1_234_567_999)) - 1_234.567).abs() < 1e-9);
    }
}
