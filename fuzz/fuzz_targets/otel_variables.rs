#![no_main]

use libfuzzer_sys::fuzz_target;
use temporal_fleet::fuzzing;

fuzz_target!(|data: &[u8]| fuzzing::otel_variables(data));
