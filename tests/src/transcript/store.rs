//! The files in `testdata/transcripts`, and which of them shall be made anew.

use std::path::PathBuf;

use super::Recording;
use super::case::{Case, directory};

/// Names what is recorded again: a name, a pattern with `*`, several with commas between them, or `failing`.
pub const UPDATE: &str = "UPDATE_TRANSCRIPTS";

/// Where the recording of this name is.
#[must_use]
pub fn path(name: &str) -> PathBuf {
    directory().join(format!("{name}.txt"))
}

/// The recording of a case, and its text.
///
/// # Errors
/// It is not there, not readable, or made for another configuration.
pub fn load(case: &Case) -> Result<(Recording, String), String> {
    let again = || format!("record it with {UPDATE}={}", case.name);
    let text = std::fs::read_to_string(path(&case.name)).map_err(|error| format!("{error}: {}", again()))?;
    let recording = Recording::parse(&text)?;
    if recording.values("configuration").ne(case.describe()) {
        return Err(format!("it was made for another configuration: {}", again()));
    }
    Ok((recording, text))
}

/// The recording of this name as it is, whatever it was made for.
#[must_use]
pub fn older(case: &Case) -> Option<Recording> {
    Recording::parse(&std::fs::read_to_string(path(&case.name)).ok()?).ok()
}

/// Writes the recording of a case.
///
/// # Panics
/// If it cannot.
pub fn save(case: &Case, recording: &Recording) {
    let path = path(&case.name);
    std::fs::write(&path, recording.render()).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
}

/// What [`UPDATE`] asks for.
#[derive(Clone, Debug, Default)]
pub struct Update {
    patterns: Vec<String>,
}

impl Update {
    /// From the environment; nothing without the variable.
    #[must_use]
    pub fn from_env() -> Self {
        Self::of(&std::env::var(UPDATE).unwrap_or_default())
    }

    /// From its value.
    #[must_use]
    pub fn of(value: &str) -> Self {
        let patterns = value.split(',').map(str::trim).filter(|name| !name.is_empty());
        Self {
            patterns: patterns.map(str::to_owned).collect(),
        }
    }

    /// Whether those that fail are to be recorded again.
    #[must_use]
    pub fn failing(&self) -> bool {
        self.patterns.iter().any(|pattern| pattern == "failing")
    }

    /// Whether the one of this name is.
    #[must_use]
    pub fn names(&self, name: &str) -> bool {
        self.patterns.iter().any(|pattern| matches(pattern, name))
    }

    /// The patterns that fit none of these names: a slip of the pen.
    #[must_use]
    pub fn idle<'a>(&'a self, names: &[&str]) -> Vec<&'a str> {
        let idle =
            |pattern: &&String| *pattern != "failing" && !names.iter().any(|name| matches(pattern, name));
        self.patterns.iter().filter(idle).map(String::as_str).collect()
    }
}

/// A pattern in which `*` is anything.
fn matches(pattern: &str, name: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == name,
        Some((head, rest)) => name.strip_prefix(head).is_some_and(|name| {
            let mut tails = (0..=name.len()).filter_map(|at| name.get(at..));
            tails.any(|tail| matches(rest, tail))
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_names_what_it_fits_and_nothing_else() {
        let update = Update::of("client-tls13-hrr, server-*-rsa*");
        for (name, named) in [
            ("client-tls13-hrr", true),
            ("client-tls13-hrr2", false),
            ("server-tls12-rsa", true),
            ("server-tls13-rsa4096", true),
            ("server-tls13-p256", false),
        ] {
            assert_eq!(update.names(name), named, "{name}");
        }
        assert!(!update.failing() && Update::of("failing").failing());
        assert_eq!(update.idle(&["client-tls13-hrr"]), ["server-*-rsa*"]);
        assert!(Update::of("").idle(&[]).is_empty() && !Update::of("").names("x"));
    }
}
