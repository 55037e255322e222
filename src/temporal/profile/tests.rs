//! Tests of profiles.

use super::*;

fn problems(text: &str) -> Vec<String> {
    match check(Path::new("t.toml"), text, DEFAULT, &Environment::default()) {
        Ok(()) => Vec::new(),
        Err(Error::ConnectionConfig(problems)) => problems.lines().map(Into::into).collect(),
        Err(other) => panic!("{other}"),
    }
}

#[test]
fn an_unknown_key_is_reported_with_its_place_and_the_nearest_known_one() {
    let text = "[profile.default]\nadress = \"s3cr3t\"\n\n[profile.default.tls]\n  server_nam = \"s3cr3t\"\n";
    assert_eq!(
        problems(text),
        [
            "t.toml, line 2, column 1: \"adress\": no such setting; the nearest is address",
            "t.toml, line 5, column 3: \"server_nam\": no such setting; the nearest is server_name",
        ]
    );
    assert_eq!(
        problems("[profiles.default]\naddress = \"a\""),
        ["t.toml, line 1, column 2: \"profiles\": no such setting; the nearest is profile"]
    );
    assert_eq!(
        problems("address = \"a\""),
        ["t.toml, line 1, column 1: \"address\" belongs into a profile, below [profile.default]"]
    );
}

#[test]
fn a_path_and_a_content_of_the_same_file_are_refused() {
    let text = "[profile.default.tls]\nclient_cert_path = \"a\"\nclient_cert_data = \"s3cr3t\"\n\
                [profile.other.tls]\nclient_cert_path = \"a\"\nclient_cert_data = \"s3cr3t\"";
    assert_eq!(
        problems(text),
        ["t.toml, line 2, column 1: \"client_cert_path\" and \"client_cert_data\" are both set: \
             remove one"]
    );
}

#[test]
fn a_file_that_is_not_toml_is_reported_by_place_without_its_text() {
    for (text, place) in [
        ("[profile.default]\napi_key = s3cr3t\n", "t.toml, line 2, column 11: not valid TOML: "),
        ("[profile.default]\napi_key = \"s3cr3t\n", "t.toml, line 2, column "),
        ("[profile.default\ns3cr3t", "t.toml, line 1, column 17: not valid TOML: "),
        ("[profile.default]\napi_key = \"a\"\napi_key = \"s3cr3t\"", "t.toml, line 3, column "),
        ("\u{feff}[profile.default]\ns3cr3t", "t.toml, line 2, column "),
    ] {
        let problems = problems(text);
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert!(problems[0].starts_with(place), "{problems:?}");
        assert!(!problems[0].contains("s3cr3t"), "{problems:?}");
    }
}

#[test]
fn a_value_of_the_wrong_type_is_reported_without_showing_it() {
    let text = "[profile.default]\napi_key = 12345\n[profile.default.tls]\ndisabled = \"12345\"\n[profile.other]\ntls = 12345\n";
    assert_eq!(
        problems(text),
        [
            "t.toml, line 2, column 1: \"api_key\": expected a text in quotes",
            "t.toml, line 4, column 1: \"disabled\": expected true or false, without quotes",
            "t.toml, line 6, column 1: \"tls\": expected a table",
        ]
    );
}

#[test]
fn what_is_not_used_may_be_another_tools() {
    assert!(problems("[profile.other]\nadress = \"a\"\n[oauth]\nx = 1\n").is_empty());
    assert!(problems("\u{feff}[profile.default]\naddress = \"a\"").is_empty());
    assert!(problems("").is_empty());
}
