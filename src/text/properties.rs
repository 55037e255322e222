//! What holds for every text, tried with many at random.

use proptest::prelude::*;
use serde_json::Value;

use super::{json::*, *};

/// Texts with what matters: hidden characters, joiners, wide ones, accents, escapes, marks of shells.
fn texts() -> impl Strategy<Value = String> {
    let characters = prop_oneof![
        4 => any::<char>(),
        2 => proptest::char::range(' ', '~'),
        2 => proptest::sample::select(vec![
            '\n', '\r', '\t', '\0', '\u{1b}', '[', '0', ';', 'm', '\'', '"', '\\', '$', '\u{301}', '\u{200d}',
            '\u{fe0f}', '\u{202e}', '注', '👩', 'é',
        ]),
    ];
    proptest::collection::vec(characters, 0..60).prop_map(String::from_iter)
}

fn values() -> impl Strategy<Value = Value> {
    let plain = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        texts().prop_map(Value::from),
    ];
    plain.prop_recursive(4, 20, 5, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            proptest::collection::btree_map(texts(), inner, 0..5)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn no_text_reaches_a_terminal_with_something_hidden(text in texts()) {
        prop_assert!(!has_hidden(&one_line(&text)));
        prop_assert!(!has_hidden(&escaped(&text)));
        prop_assert!(!has_hidden(&shell_word(&text)));
        prop_assert!(!has_hidden(&quoted(&text)));
        for line in lines(&text).split('\n') {
            prop_assert!(!has_hidden(line));
        }
    }

    #[test]
    fn a_text_without_hidden_characters_stays_as_it_is(text in texts()) {
        if !has_hidden(&text) {
            prop_assert_eq!(&one_line(&text), &text);
            prop_assert_eq!(&*escaped(&text), &text);
        }
    }

    #[test]
    fn a_cut_text_fits_and_keeps_both_ends(text in texts(), longest in 1_usize..40) {
        let cut = cut(&text, longest);
        prop_assert!(width(&cut) <= longest, "{cut:?} is {} wide", width(&cut));
        prop_assert!(!has_hidden(&cut), "{cut:?}");
        let (head, tail) = cut.split_once('…').unwrap_or((&cut, ""));
        let whole = one_line(&text);
        prop_assert!(whole.starts_with(head) || text.contains('…'));
        prop_assert!(whole.ends_with(tail) || text.contains('…'));
    }

    #[test]
    fn text_cut_at_its_styles_is_whole(text in texts()) {
        let parts: String = at_styles(&text).into_iter().flat_map(|(text, style)| [text, style]).collect();
        prop_assert_eq!(parts, text);
    }

    #[test]
    fn a_place_lies_in_the_text(text in texts(), at in 0_usize..400) {
        let place = place(&text, at);
        prop_assert!(place.starts_with("line ") && place.contains(", column "));
    }

    #[test]
    fn json_keeps_its_value_in_every_form(value in values()) {
        let json = serde_json::to_string_pretty(&value).unwrap();
        let line = on_one_line(&json);
        prop_assert!(!has_hidden(&line));
        let parsed = |json: &str| serde_json::from_str::<Value>(json).unwrap();
        prop_assert_eq!(&parsed(&line), &value);
        prop_assert_eq!(&parsed(&on_its_lines(&json)), &value);
        let shown = for_people(&json);
        prop_assert!(!has_hidden(&shown));
        prop_assert_eq!(&parsed(&shown), &value);
        prop_assert!(is_readable(&json));
    }
}

proptest! {
    // Each case is a shell.
    #![proptest_config(ProptestConfig::with_cases(20))]

    #[test]
    fn a_shell_reads_the_words_that_were_meant(words in proptest::collection::vec(texts(), 1..10)) {
        let words: Vec<_> = words.iter().map(|word| word.replace('\0', "")).collect();
        let line: Vec<_> = words.iter().map(|word| shell_word(word)).collect();
        let script = format!("printf '%s\\0' {}", line.join(" "));
        let output = std::process::Command::new("bash").args(["-c", &script]).output().unwrap();
        let read = String::from_utf8(output.stdout).unwrap();
        let read: Vec<_> = read.split_terminator('\0').collect();
        prop_assert_eq!(read, words);
    }
}
