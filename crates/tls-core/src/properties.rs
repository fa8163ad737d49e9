//! How the property tests of this crate run.

use proptest::test_runner::{Config, RngSeed};

/// As many cases as this, and the same ones in every run: a failure that comes and goes would help nobody. The
/// environment can say otherwise: `PROPTEST_RNG_SEED=n` for other cases, `PROPTEST_CASES=n` for more of them.
pub(crate) fn config(cases: u32) -> Config {
    let asked_for = Config::default();
    let usual = Config::with_cases(cases);
    Config {
        cases: match std::env::var_os("PROPTEST_CASES") {
            Some(_) => asked_for.cases,
            None => usual.cases,
        },
        rng_seed: match asked_for.rng_seed {
            RngSeed::Random => RngSeed::Fixed(8446),
            fixed => fixed,
        },
        // Nothing is written beside the sources, which Miri would not allow either.
        failure_persistence: None,
        ..asked_for
    }
}
