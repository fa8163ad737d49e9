//! Asks processes of their own for allocations and memory, one per stack and side, so that nothing else is counted.

use std::path::PathBuf;
use std::process::Command;

use tempfile::TempDir;

use crate::rounds::{Effort, Outcome, Row, Spread, Unit};
use crate::stack::Version;

/// Environment variable that names the file of the malloc counters.
pub const COUNTERS: &str = "TLS_BENCHES_COUNTERS";
/// Set where the counting binary exists already (in tests), so that it is not built.
pub const NO_BUILD: &str = "TLS_BENCHES_NO_BUILD";

const BINARY: &str = "tls-benches-memory";
const LIBRARY: &str = "malloc_counter.so";
const IDLE_CONNECTIONS: usize = 2_000;
/// Few enough for 1,024 open files; exact all the same, since only the heap is counted.
const IDLE_STREAMS: usize = 200;
const HANDSHAKES: usize = 200;

/// What a process is to count, and its command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Question {
    /// Our stack rather than rustls.
    pub ours: bool,
    /// Memory of idle connections rather than allocations of handshakes.
    pub idle: bool,
    /// Streams over TCP rather than connections in memory, if idle.
    pub stream: bool,
    /// TLS 1.2 rather than TLS 1.3.
    pub tls12: bool,
    /// Keep servers rather than clients.
    pub server: bool,
    /// X25519MLKEM768 rather than X25519.
    pub hybrid: bool,
    /// Resumed handshakes of TLS 1.3, each with a new ticket, rather than full ones without.
    pub resumed: bool,
    /// How many.
    pub connections: usize,
}

impl Question {
    /// From arguments; `None` if they are something else.
    pub fn parse(arguments: &[String]) -> Option<Self> {
        let [ours, idle, stream, tls12, server, hybrid, resumed, connections] = arguments else {
            return None;
        };
        Some(Self {
            ours: ours.parse().ok()?,
            idle: idle.parse().ok()?,
            stream: stream.parse().ok()?,
            tls12: tls12.parse().ok()?,
            server: server.parse().ok()?,
            hybrid: hybrid.parse().ok()?,
            resumed: resumed.parse().ok()?,
            connections: connections.parse().ok()?,
        })
    }

    fn arguments(&self) -> [String; 8] {
        let flags = [
            self.ours,
            self.idle,
            self.stream,
            self.tls12,
            self.server,
            self.hybrid,
            self.resumed,
        ];
        let [ours, idle, stream, tls12, server, hybrid, resumed] = flags.map(|flag| flag.to_string());
        let connections = self.connections.to_string();
        [ours, idle, stream, tls12, server, hybrid, resumed, connections]
    }

    /// The numbers that the process answers; `None` if the stack does not exist.
    fn ask(&self, program: &Program) -> Option<Vec<f64>> {
        let mut command = Command::new(&program.binary);
        command.args(self.arguments());
        if let Some(directory) = &program.preload {
            // Counters of its own for each process, all zero.
            let file = directory.path().join("counters");
            std::fs::write(&file, [0; 4096]).unwrap();
            command
                .env("LD_PRELOAD", directory.path().join(LIBRARY))
                .env(COUNTERS, file);
        } else {
            command.env_remove(COUNTERS);
        }
        let output = command.output().expect("the counting process runs");
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        let text = String::from_utf8(output.stdout).unwrap();
        let numbers: Vec<f64> = text
            .split_whitespace()
            .map(|number| number.parse().unwrap())
            .collect();
        (!numbers.is_empty()).then_some(numbers)
    }
}

/// Allocations per handshake and side, from making the connection to dropping it.
pub fn allocations(program: &Program, effort: Effort) -> Vec<Outcome> {
    let mut outcomes = Vec::new();
    for (version, hybrid, resumed) in [
        (Version::Tls13, false, false),
        (Version::Tls13, true, false),
        (Version::Tls12, false, false),
        (Version::Tls13, false, true),
    ] {
        let ask = |ours| {
            let connections = effort.repeat(HANDSHAKES);
            Question {
                ours,
                idle: false,
                stream: false,
                tls12: version == Version::Tls12,
                server: false,
                hybrid,
                resumed,
                connections,
            }
            .ask(program)
        };
        let (ours, rustls, check) = (ask(true), ask(false), ask(false));
        let group = if hybrid { "X25519MLKEM768" } else { "X25519" };
        let how = if resumed { "resumed " } else { "" };
        let new = if resumed { ", 1 new ticket" } else { "" };
        let mut row = |index, what: &str, unit| {
            let work = format!(
                "allocations per handshake {how}{}{group}{new}, {what}",
                version.label()
            );
            outcomes.extend(compare(Row::new(work, unit), &ours, &rustls, &check, index));
        };
        row(1, "client, C included", Unit::Count);
        row(3, "server, C included", Unit::Count);
        row(0, "client, Rust's", Unit::Count);
        row(2, "server, Rust's", Unit::Count);
        row(4, "client, bytes, Rust's", Unit::Bytes);
        row(5, "server, bytes, Rust's", Unit::Bytes);
    }
    outcomes
}

/// Memory per established connection that has exchanged one message each way: in memory, and as a stream with its
/// `TcpStream` and what Tokio keeps for that.
pub fn idle(program: &Program, effort: Effort) -> Vec<Outcome> {
    let mut outcomes = Vec::new();
    let kinds = [
        (Version::Tls13, false),
        (Version::Tls12, false),
        (Version::Tls13, true),
    ];
    for ((version, stream), server) in kinds.into_iter().flat_map(|kind| [(kind, false), (kind, true)]) {
        let connections = effort.repeat(if stream { IDLE_STREAMS } else { IDLE_CONNECTIONS });
        let ask = |ours| {
            Question {
                ours,
                idle: true,
                stream,
                tls12: version == Version::Tls12,
                server,
                hybrid: false,
                resumed: false,
                connections,
            }
            .ask(program)
        };
        let (ours, rustls, check) = (ask(true), ask(false), ask(false));
        let side = if server { "server" } else { "client" };
        let over = if stream { " stream over TCP" } else { "" };
        let mut row = |index: usize, what: &str| {
            let row = Row::new(
                format!("idle {}{side}{over}, {what}", version.label()),
                Unit::Bytes,
            );
            outcomes.extend(compare(row, &ours, &rustls, &check, index));
        };
        row(1, "heap, C included");
        row(0, "heap, Rust's");
        if !stream {
            row(2, "resident set");
        }
    }
    outcomes
}

type Numbers = Option<Vec<f64>>;

/// `None` where it cannot be counted here (no C compiler, not glibc).
fn compare(row: Row, ours: &Numbers, rustls: &Numbers, check: &Numbers, index: usize) -> Option<Outcome> {
    let number = |numbers: &Numbers| numbers.as_ref().map(|numbers| numbers[index]);
    let (ours, check) = (number(ours), number(check));
    let rustls = number(rustls).filter(|number| !number.is_nan())?;
    let ratio = |number: Option<f64>| number.map(|number| Spread::of(vec![rustls / number]));
    Some(Outcome {
        row,
        ours,
        rustls,
        ratio: ratio(ours),
        check: ratio(check),
        ours_of_floor: None,
        rustls_of_floor: None,
    })
}

/// The counting binary, and the library that is loaded into it.
pub struct Program {
    binary: PathBuf,
    /// Holds the library that counts every `malloc`; `None` without a C compiler or glibc.
    preload: Option<TempDir>,
}

impl Program {
    /// The binary beside this one, built anew if this is `cargo run` (which builds only the one it runs).
    pub fn build() -> Self {
        let cargo = std::env::var_os("CARGO").filter(|_| std::env::var_os(NO_BUILD).is_none());
        if let Some(cargo) = cargo {
            let mut command = Command::new(cargo);
            command.args(["build", "--quiet", "--package", "tls-benches", "--bin", BINARY]);
            if !cfg!(debug_assertions) {
                command.arg("--release");
            }
            command.current_dir(env!("CARGO_MANIFEST_DIR"));
            assert!(command.status().unwrap().success(), "{BINARY} does not build");
        }
        let name = format!("{BINARY}{}", std::env::consts::EXE_SUFFIX);
        Self {
            binary: std::env::current_exe().unwrap().with_file_name(name),
            preload: preload(),
        }
    }
}

fn preload() -> Option<TempDir> {
    if !cfg!(all(target_os = "linux", target_env = "gnu")) {
        return None;
    }
    let directory = tempfile::tempdir().unwrap();
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/src/malloc_counter.c");
    let mut compiler = Command::new("cc");
    compiler
        .args(["-O2", "-shared", "-fPIC", "-o"])
        .arg(directory.path().join(LIBRARY))
        .arg(source);
    if compiler.status().is_ok_and(|status| status.success()) {
        Some(directory)
    } else {
        eprintln!("tls-benches: no C compiler, so what C allocates is not counted");
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_survives_the_command_line() {
        let question = Question {
            ours: true,
            idle: false,
            stream: false,
            tls12: true,
            server: true,
            hybrid: false,
            resumed: true,
            connections: 7,
        };
        assert_eq!(Question::parse(&question.arguments()), Some(question));
    }
}
