//! Why the command failed: one line on stderr and an exit code.

use core::fmt;
use std::process::ExitCode;

use crate::console;

/// What went wrong, in one line.
#[derive(Debug)]
pub(crate) struct Failure {
    message: String,
    exit_code: u8,
}

impl Failure {
    /// Something that was tried and did not work: exit code 1.
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            exit_code: 1,
        }
    }

    /// A command line that makes no sense: exit code 2, as is usual.
    pub(crate) fn usage(error: &clap::Error) -> Self {
        Self::misuse(first_paragraph(&error.to_string()))
    }

    /// The same, where clap cannot know.
    pub(crate) fn misuse(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            exit_code: 2,
        }
    }

    /// Says it on stderr.
    pub(crate) fn report(&self) -> ExitCode {
        console::say(format_args!("tls: {self}"));
        ExitCode::from(self.exit_code)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

/// What clap says before it explains the usage, as one line.
fn first_paragraph(text: &str) -> String {
    let lines: Vec<&str> = text
        .lines()
        .map(str::trim)
        .take_while(|line| !line.is_empty())
        .collect();
    let line = lines.join(" ");
    format!("{} (try --help)", line.strip_prefix("error: ").unwrap_or(&line))
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::Failure;
    use crate::args::Arguments;

    #[test]
    fn a_usage_error_is_one_line() {
        let error = Arguments::try_parse_from(["tls", "connect"]).unwrap_err();
        let failure = Failure::usage(&error);
        assert!(failure.message.contains("<HOST:PORT>"), "{failure}");
        assert!(!failure.message.contains('\n'), "{failure}");
        assert!(!failure.message.starts_with("error"), "{failure}");
    }
}
