#![no_main]

use libfuzzer_sys::{fuzz_mutator, fuzz_target, fuzzer_mutate};

fuzz_target!(|input: &[u8]| (tls_tests::fuzz::target_of("client_hello").run)(input));

// Three times in four by what a ClientHello is made of, else as bytes.
fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    match seed % 4 {
        0 => fuzzer_mutate(data, size, max_size),
        _ => tls_tests::fuzz::mutate_client_hello(&mut data[..max_size], size, seed)
            .unwrap_or_else(|| fuzzer_mutate(data, size, max_size)),
    }
});
