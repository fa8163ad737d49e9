//! What the command says. A console that is gone is no reason to fail, let alone to panic as `println!` does.

use core::fmt;
use std::io::{self, Write as _};

/// A line on stderr: logs, facts, failures.
pub(crate) fn say(line: fmt::Arguments<'_>) {
    let line = one_line(&line.to_string());
    let _ = io::stderr().lock().write_all(line.as_bytes());
}

/// A line on stdout: what somebody may want to use further.
pub(crate) fn print(line: fmt::Arguments<'_>) {
    let line = one_line(&line.to_string());
    let mut stdout = io::stdout().lock();
    let _ = stdout.write_all(line.as_bytes()).and_then(|()| stdout.flush());
}

/// Names and errors come from the peer: no control character of theirs reaches the terminal, and none makes two lines
/// out of one.
fn one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len() + 1);
    for c in text.chars() {
        if c.is_control() {
            line.extend(c.escape_default());
        } else {
            line.push(c);
        }
    }
    line.push('\n');
    line
}

#[cfg(test)]
mod tests {
    use super::one_line;

    #[test]
    fn control_characters_are_escaped() {
        assert_eq!(one_line("a\x1b[31mb\nc é"), "a\\u{1b}[31mb\\nc é\n");
    }
}
