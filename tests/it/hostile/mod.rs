//! What others have written reaches a terminal and a log without power, panics are lines of the log, and a stderr
//! that nobody reads stops nothing.

mod errors;
mod names;
mod panics;
mod rogue;
mod stderr;

/// Text that would move the cursor, clear the screen, recolour, rename the window, reverse what follows, hide, and
/// forge a line of ours. `mark` makes texts differ.
fn hostile(mark: &str) -> String {
    format!(
        "{mark}\nerror: forged\r\u{1b}]0;pwned\u{7}\u{1b}[2J\u{1b}[31m\u{9b}31m\u{7f}\u{85}error: forged\u{2028}error: \
         forged\u{202e}\u{2066}\u{200b}\u{e0041}"
    )
}

/// Asserts that nothing in these lines acts on a terminal, and that none is a forged one.
#[track_caller]
fn assert_harmless(what: &str, lines: &[String]) {
    for line in lines {
        let power = |c: char| {
            c.is_control()
                || matches!(
                    c,
                    '\u{200b}' | '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
                        | '\u{e0000}'..='\u{e007f}'
                )
        };
        assert!(!line.contains(power), "{what}: {line:?}");
        assert!(!line.starts_with("error: forged"), "{what}: {line:?}");
    }
}

/// The same for what a command wrote to a terminal, where it uses sequences of its own.
#[track_caller]
fn assert_harmless_on_a_terminal(what: &str, seen: &str) {
    let mut plain = String::new();
    let mut rest = seen;
    while let Some((before, after)) = rest.split_once("\u{1b}[") {
        plain.push_str(before);
        let end = after.find(|c: char| !(c.is_ascii_digit() || ";?".contains(c))).unwrap();
        let (parameters, kind) = (&after[..end], &after[end..=end]);
        let is_ours = match kind {
            "m" => {
                ["", "0", "1", "2", "3", "31", "32", "33", "34", "35", "36"].contains(&parameters)
            }
            "h" | "l" => ["?2026", "?25", "?7"].contains(&parameters),
            "K" | "J" => ["", "2"].contains(&parameters) && !(kind == "J" && parameters == "2"),
            "A" => true,
            _ => false,
        };
        assert!(is_ours, "{what}: {parameters}{kind} in {seen:?}");
        rest = &after[end + 1..];
    }
    plain.push_str(rest);
    let lines: Vec<_> = plain
        .split('\n')
        .flat_map(|line| line.trim_end_matches('\r').split('\r'))
        .map(str::to_owned)
        .collect();
    assert_harmless(what, &lines);
}
