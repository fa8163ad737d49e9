//! Writes what fuzzing begins with: `fuzz_seeds DIRECTORY` makes one directory per target, with one file per seed or
//! found input.

use std::path::PathBuf;
use std::{env, fs, io};

#[cfg(debug_assertions)]
fn main() -> io::Result<()> {
    use tls_tests::fuzz::{TARGETS, found_inputs};

    let directory = env::args_os().nth(1).map(PathBuf::from);
    let directory = directory.ok_or_else(|| io::Error::other("usage: fuzz_seeds DIRECTORY"))?;
    for target in TARGETS {
        let directory = directory.join(target.name);
        fs::create_dir_all(&directory)?;
        let inputs: Vec<_> = (target.seeds)()
            .into_iter()
            .chain(found_inputs(target.name))
            .collect();
        for (name, input) in &inputs {
            fs::write(directory.join(name), input)?;
        }
        println!("{}: {} inputs", target.name, inputs.len());
    }
    Ok(())
}

#[cfg(not(debug_assertions))]
fn main() {}
