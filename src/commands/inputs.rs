//! The arguments of workflows, as flags, files and standard input give them.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read, Take},
};

use base64::{Engine, prelude::BASE64_STANDARD};
use serde::de::IgnoredAny;
use temporalio_common::protos::temporal::api::common::v1::Payload;

use crate::{cli::InputArgs, error::CommandError, text::cut};

/// The metadata that says how an argument is encoded, and its value without flags.
const ENCODING: &str = "encoding";
const JSON: &str = "json/plain";
/// How large an argument may be, in bytes: Temporal's servers take no larger message.
const LARGEST: u64 = 128 * MIB;
/// How large all arguments of a batch may be, in bytes. They are kept in memory.
const LARGEST_LINES: u64 = 1024 * MIB;
const MIB: u64 = 1024 * 1024;
/// How much of a wrong value an error shows, in columns.
const LONGEST_SHOWN: usize = 60;

/// What each workflow of a batch gets.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Inputs {
    /// The arguments of every workflow.
    pub(super) all: Vec<Payload>,
    /// One argument for each workflow, in place of these. Empty if all have the same.
    pub(super) each: Vec<Payload>,
}

/// Reads what the flags name. `lines` is the file of `--inputs`.
///
/// # Errors
/// [`CommandError::Usage`] in one line: the flag, the value or the place in the file, and what is allowed.
pub(super) fn read(args: &InputArgs, lines: Option<&str>) -> Result<Inputs, CommandError> {
    let from_stdin = args.input.iter().map(String::as_str).chain(lines);
    if from_stdin.filter(|source| *source == "-").count() > 1 {
        return usage("standard input can be read only once: give - to one --input or to --inputs");
    }
    let count = if lines.is_some() { 1 } else { args.input.len() };
    let metadata = Metadata::of(args, count)?;
    if let Some(source) = lines {
        return Ok(Inputs { all: Vec::new(), each: read_lines(source, args, &metadata)? });
    }
    let argument = |(place, value): (usize, &String)| argument(value, args, &metadata, place);
    let all = args.input.iter().enumerate().map(argument).collect::<Result<_, _>>()?;
    Ok(Inputs { all, each: Vec::new() })
}

fn usage<T>(problem: impl Into<String>) -> Result<T, CommandError> {
    Err(CommandError::Usage(problem.into()))
}

/// The metadata of the arguments.
struct Metadata {
    /// For each key a value for all arguments, or one for each.
    pairs: Vec<(String, Vec<String>)>,
}

impl Metadata {
    fn of(args: &InputArgs, count: usize) -> Result<Self, CommandError> {
        let mut pairs: Vec<(String, Vec<String>)> = Vec::new();
        let encodings =
            args.input_encoding.iter().map(|value| (ENCODING.to_owned(), value.clone()));
        for (key, value) in encodings.chain(args.input_meta.iter().cloned()) {
            match pairs.iter_mut().find(|(known, _)| *known == key) {
                Some((_, values)) => values.push(value),
                None => pairs.push((key, vec![value])),
            }
        }
        let is_encoding = |(key, _): &(String, String)| key == ENCODING;
        if !args.input_encoding.is_empty() && args.input_meta.iter().any(is_encoding) {
            return usage(
                "--input-encoding and --input-meta encoding=… say the same: give one of them",
            );
        }
        for (key, values) in &pairs {
            if values.len() != 1 && values.len() != count {
                return usage(format!(
                    "{} is given {} times for {count} arguments: expected once, or once for each",
                    if key == ENCODING {
                        "the encoding".to_owned()
                    } else {
                        format!("--input-meta {key}")
                    },
                    values.len()
                ));
            }
        }
        if count == 0 && (!pairs.is_empty() || args.input_base64) {
            return usage("--input-encoding, --input-meta and --input-base64 need an --input");
        }
        Ok(Self { pairs })
    }

    /// The metadata of the argument at `place`.
    fn at(&self, place: usize) -> Vec<(String, String)> {
        let value = |values: &Vec<String>| values.get(place).unwrap_or(&values[0]).clone();
        let mut all: Vec<_> =
            self.pairs.iter().map(|(key, values)| (key.clone(), value(values))).collect();
        if !all.iter().any(|(key, _)| key == ENCODING) {
            all.push((ENCODING.to_owned(), JSON.to_owned()));
        }
        all
    }
}

/// The argument that one `--input` gives: itself, a file's content, or standard input.
fn argument(
    value: &str,
    args: &InputArgs,
    metadata: &Metadata,
    place: usize,
) -> Result<Payload, CommandError> {
    let (name, data) = match (value, value.strip_prefix('@')) {
        ("-", _) => ("--input -".to_owned(), read_source("-", "--input -")?),
        (_, Some(path)) => {
            let name = format!("--input @{path}");
            let data = read_source(path, &name)?;
            (name, data)
        }
        _ => (format!("--input {}", shown(value)), value.as_bytes().to_vec()),
    };
    let hint = if name.starts_with("--input @") || value == "-" {
        ""
    } else {
        "; a string needs its quotes, such as '\"you\"', and a file an @ before its name"
    };
    match payload(data, args.input_base64, metadata.at(place), false) {
        Ok(payload) => Ok(payload),
        Err(problem) => {
            let hint = if problem.starts_with("not JSON") { hint } else { "" };
            usage(format!("{name}: {problem}{hint}"))
        }
    }
}

/// One argument for each line of a file. Empty lines at its end do not count.
fn read_lines(
    source: &str,
    args: &InputArgs,
    metadata: &Metadata,
) -> Result<Vec<Payload>, CommandError> {
    let name = format!("--inputs {source}");
    let mut reader = open(source, &name)?;
    let (mut arguments, mut size, mut empty) = (Vec::new(), 0, None);
    for number in 1.. {
        let at = format!("{name}, line {number}");
        let mut line =
            read_part(&mut reader, &at, LARGEST, |from, line| from.read_until(b'\n', line))?;
        if line.is_empty() {
            break;
        }
        size += line.len() as u64;
        if size > LARGEST_LINES {
            return too_large(&name, LARGEST_LINES);
        }
        if line.trim_ascii().is_empty() {
            empty = empty.or(Some(at));
            continue;
        }
        if let Some(at) = empty {
            return usage(format!("{at}: empty: expected one argument on each line"));
        }
        line.truncate(line.trim_ascii_end().len());
        let argument = payload(line, args.input_base64, metadata.at(0), true);
        arguments.push(argument.or_else(|problem| usage(format!("{at}: {problem}")))?);
    }
    if arguments.is_empty() {
        return usage(format!("{name}: no line in it: expected one argument on each line"));
    }
    Ok(arguments)
}

/// What a file or standard input holds.
fn read_source(source: &str, name: &str) -> Result<Vec<u8>, CommandError> {
    read_part(&mut open(source, name)?, name, LARGEST, |from, content| from.read_to_end(content))
}

type Source = Box<dyn BufRead>;

fn open(source: &str, name: &str) -> Result<Source, CommandError> {
    if source == "-" {
        return Ok(Box::new(io::stdin().lock()));
    }
    match File::open(source) {
        Ok(file) => Ok(Box::new(BufReader::new(file))),
        Err(error) => unreadable(name, &error),
    }
}

/// What `read` reads, of which there may be at most `largest` bytes: a device has no end.
fn read_part(
    from: &mut Source,
    name: &str,
    largest: u64,
    read: impl FnOnce(&mut Take<&mut Source>, &mut Vec<u8>) -> io::Result<usize>,
) -> Result<Vec<u8>, CommandError> {
    let mut part = Vec::new();
    // One byte more than allowed shows that there is more.
    match read(&mut from.take(largest + 1), &mut part) {
        Ok(length) if length as u64 > largest => too_large(name, largest),
        Ok(_) => Ok(part),
        Err(error) => unreadable(name, &error),
    }
}

fn too_large<T>(name: &str, largest: u64) -> Result<T, CommandError> {
    usage(format!("{name}: it is larger than {} MiB", largest / MIB))
}

fn unreadable<T>(name: &str, error: &io::Error) -> Result<T, CommandError> {
    usage(format!("{name}: cannot read it: {error}"))
}

/// Makes an argument of `data`, or says what is wrong with it.
fn payload(
    data: Vec<u8>,
    is_base64: bool,
    metadata: Vec<(String, String)>,
    is_line: bool,
) -> Result<Payload, String> {
    let data = if is_base64 { base64(&data)? } else { data };
    let encoding =
        metadata.iter().find(|(key, _)| key == ENCODING).map(|(_, value)| value.as_str());
    let encoding = encoding.unwrap_or(JSON);
    let data = if encoding.starts_with("json/") { json(&data, is_line)? } else { data };
    if encoding == "binary/null" && !data.is_empty() {
        return Err("binary/null has no content: expected nothing".to_owned());
    }
    let metadata = metadata.into_iter().map(|(key, value)| (key, value.into_bytes())).collect();
    Ok(Payload { metadata, data, ..Default::default() })
}

fn base64(data: &[u8]) -> Result<Vec<u8>, String> {
    let text: Vec<u8> = data.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).collect();
    BASE64_STANDARD.decode(text).map_err(|_| "not Base64 (--input-base64)".to_owned())
}

/// The JSON without a byte order mark, and without space around it. It is not parsed and written again, which
/// would change large numbers.
fn json(data: &[u8], is_line: bool) -> Result<Vec<u8>, String> {
    let text = str::from_utf8(data)
        .map_err(|error| format!("not UTF-8, at byte {}", error.valid_up_to() + 1))?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text).trim_ascii();
    match serde_json::from_str::<IgnoredAny>(text) {
        Ok(_) => Ok(text.as_bytes().to_vec()),
        Err(error) => {
            let whole = error.to_string();
            let what = whole.split(" at line ").next().unwrap_or_default();
            let (line, column) = (error.line(), error.column());
            let place = if is_line { String::new() } else { format!("line {line}, ") };
            Err(format!("not JSON ({what} at {place}column {column})"))
        }
    }
}

/// A value as an error shows it: on one line, and cut.
fn shown(value: &str) -> String {
    format!("{:?}", cut(value, LONGEST_SHOWN))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn args(input: &[&str]) -> InputArgs {
        InputArgs { input: input.iter().map(ToString::to_string).collect(), ..Default::default() }
    }

    fn file(content: &[u8]) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(content).unwrap();
        file
    }

    fn data(payloads: &[Payload]) -> Vec<String> {
        payloads.iter().map(|it| String::from_utf8(it.data.clone()).unwrap()).collect()
    }

    fn encoding(payload: &Payload) -> &str {
        str::from_utf8(&payload.metadata[ENCODING]).unwrap()
    }

    #[track_caller]
    fn problem(args: &InputArgs, lines: Option<&str>) -> String {
        let problem = read(args, lines).unwrap_err().to_string();
        assert!(!problem.contains('\n'), "{problem}");
        problem
    }

    #[test]
    fn each_input_is_an_argument_and_a_file_gives_its_content() {
        let large = file(b"\xef\xbb\xbf {\"n\": 12345678901234567890123}\n");
        let named = format!("@{}", large.path().display());
        let read = read(&args(&["1", "\"b\"", &named]), None).unwrap();
        assert_eq!(data(&read.all), ["1", "\"b\"", "{\"n\": 12345678901234567890123}"]);
        assert!(read.all.iter().all(|payload| encoding(payload) == JSON) && read.each.is_empty());
    }

    #[test]
    fn each_line_is_the_argument_of_one_workflow() {
        let lines = file(b"{\"a\": 1}\r\n[2]\n\"drei\"\n\n");
        let name = lines.path().to_str().unwrap();
        let read = read(&args(&[]), Some(name)).unwrap();
        assert_eq!(data(&read.each), ["{\"a\": 1}", "[2]", "\"drei\""]);
    }

    #[test]
    fn encodings_and_metadata_are_for_all_arguments_or_for_each() {
        let mut args = args(&["AAE=", "Ag=="]);
        args.input_base64 = true;
        args.input_encoding = vec!["binary/plain".into()];
        args.input_meta =
            vec![("messageType".into(), "A".into()), ("messageType".into(), "B".into())];
        let all = read(&args, None).unwrap().all;
        assert_eq!((all[0].data.as_slice(), all[1].data.as_slice()), (&[0, 1][..], &[2][..]));
        assert!(all.iter().all(|payload| encoding(payload) == "binary/plain"));
        assert_eq!(all[1].metadata["messageType"], b"B");
    }

    #[test]
    fn a_wrong_value_is_named_in_one_line_and_never_shown_whole() {
        let long = format!("{{{}", "x".repeat(100_000));
        let error = problem(&args(&[&long]), None);
        assert!(error.starts_with("--input \"{xxx") && error.len() < 300, "{error}");
        let error = problem(&args(&["nonsense"]), None);
        assert_eq!(
            error,
            "--input \"nonsense\": not JSON (expected ident at line 1, column 2); a string needs its \
             quotes, such as '\"you\"', and a file an @ before its name"
        );
        let error = problem(&args(&["@no/such/file"]), None);
        assert!(
            error.starts_with("--input @no/such/file: cannot read it: No such file"),
            "{error}"
        );
        assert_eq!(
            problem(&args(&["@/dev/zero"]), None),
            "--input @/dev/zero: it is larger than 128 MiB"
        );
        let base64 = InputArgs { input_base64: true, ..args(&["zzz"]) };
        assert_eq!(problem(&base64, None), "--input \"zzz\": not Base64 (--input-base64)");
        let secret = file(b"{\"a\": 1,\n \"key\": s3cret}");
        let error = problem(&args(&[&format!("@{}", secret.path().display())]), None);
        assert!(error.contains("not JSON (") && error.contains("at line 2, column 9"), "{error}");
        assert!(!error.contains("s3cret"), "{error}");
    }

    #[test]
    fn a_wrong_line_is_named_by_its_number() {
        for (content, words) in [
            (&b"1\n{\n3"[..], ", line 2: not JSON (EOF while parsing an object at column 1)"),
            (b"1\n\n3", ", line 2: empty: expected one argument on each line"),
            (b"1\n\"\xff\"", ", line 2: not UTF-8, at byte 2"),
            (b"1\n\n\n\n2", ", line 2: empty: expected one argument on each line"),
            (b"\n\n", ": no line in it: expected one argument on each line"),
        ] {
            let lines = file(content);
            let error = problem(&args(&[]), lines.path().to_str());
            assert!(error.ends_with(words), "{error}");
        }
    }

    #[test]
    fn a_line_without_an_end_is_given_up() {
        assert_eq!(
            problem(&args(&[]), Some("/dev/zero")),
            "--inputs /dev/zero, line 1: it is larger than 128 MiB"
        );
    }

    #[test]
    fn flags_that_contradict_each_other_are_refused() {
        assert!(
            problem(&args(&["-", "-"]), None).starts_with("standard input can be read only once")
        );
        assert!(problem(&args(&["-"]), Some("-")).starts_with("standard input can be read only"));
        let encodings = |input: &[&str], encodings: &[&str]| InputArgs {
            input_encoding: encodings.iter().map(ToString::to_string).collect(),
            ..args(input)
        };
        let two_of_three = encodings(&["1", "2", "3"], &[JSON, JSON]);
        assert!(problem(&two_of_three, None).contains("given 2 times for 3 arguments"));
        assert!(problem(&encodings(&[], &[JSON]), None).ends_with("need an --input"));
        let mut twice = encodings(&["1"], &[JSON]);
        twice.input_meta = vec![(ENCODING.into(), JSON.into())];
        assert!(problem(&twice, None).ends_with("give one of them"));
        assert!(problem(&encodings(&["x"], &["binary/null"]), None).contains("has no content"));
    }
}
