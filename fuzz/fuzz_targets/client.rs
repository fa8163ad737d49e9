#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| (tls_tests::fuzz::target_of("client").run)(input));
