//! The peer that a case is recorded against: another program, on a free port of 127.0.0.1.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use tokio::runtime::{Builder, Runtime};
use tokio::time::timeout;

use super::case::{Case, Peer, Program, identity_files, root_file};
use super::run::{Director, record_case};
use super::wire::Wire;
use super::{Recording, hex};
use crate::openssl::s_server;
use crate::process::{LIMIT, Process};

/// How long a program may take to end after its connection.
const LAST_WORDS: Duration = Duration::from_secs(3);
/// How long a program gets to carry out a command.
const PAUSE: Duration = Duration::from_millis(300);

/// Runs the case against its peer, with the randomness of an older recording as far as it fits.
///
/// # Panics
/// If the peer is not there, or does not do what it shall.
#[must_use]
pub fn record_live(case: &Case, older: Option<&Recording>) -> Recording {
    let runtime = Arc::new(
        Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime"),
    );
    let directory = tempfile::tempdir().expect("a directory");
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let clock = since.expect("it is later than 1970").as_secs();
    let live = Live {
        case,
        runtime,
        directory: directory.path(),
        older,
    };
    let (command, mut made) = match case.is_client() {
        true => live.as_client(clock),
        false => live.as_server(clock),
    };
    let mut header = vec![
        ("name".to_owned(), case.name.clone()),
        ("peer".to_owned(), version(case.peer.program)),
    ];
    header.extend(command.into_iter().map(|command| ("command".to_owned(), command)));
    header.push(("date".to_owned(), date(clock)));
    header.push(("clock".to_owned(), clock.to_string()));
    header.extend(
        case.describe()
            .into_iter()
            .map(|line| ("configuration".to_owned(), line)),
    );
    header.append(&mut made.header);
    made.header = header;
    made
}

fn version(program: Program) -> String {
    let (program, argument) = match program {
        Program::OpenSsl => ("openssl", "version"),
        Program::GnuTls => ("gnutls-cli", "--version"),
    };
    let output = std::process::Command::new(program).arg(argument).output();
    let output = output.unwrap_or_else(|error| panic!("{program} cannot be started: {error}"));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let line = text.lines().next().unwrap_or_default();
    // "OpenSSL 3.0.19 27 Jan 2026 (Library: ...)"
    line.split(" (")
        .next()
        .unwrap_or_default()
        .replace("gnutls-cli", "GnuTLS")
}

/// The day in the calendar of Gregory.
fn date(clock: u64) -> String {
    let days = i64::try_from(clock / 86_400).expect("a date");
    // Days from 1 March of the year 0, in eras of 400 years.
    let shifted = days + 719_468;
    let (era, day) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day_of_year = day - (365 * year + year / 4 - year / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 {
        shifted_month + 3
    } else {
        shifted_month - 9
    };
    let year = year + era * 400 + i64::from(month <= 2);
    format!("{year}-{month:02}-{day:02}")
}

struct Live<'a> {
    case: &'a Case,
    runtime: Arc<Runtime>,
    directory: &'a Path,
    older: Option<&'a Recording>,
}

impl Live<'_> {
    /// An argument with its places filled in: `{pki}` is the directory of fixed certificates, `{tmp}` one that is
    /// thrown away.
    fn fill(&self, argument: &str) -> String {
        argument
            .replace(
                "{pki}",
                &root_file("x").parent().expect("a directory").to_string_lossy(),
            )
            .replace("{tmp}", &self.directory.to_string_lossy())
    }

    /// How a command line stands in the file: without the places of this machine.
    fn written(&self, program: &str, arguments: &[String]) -> String {
        let pki = root_file("x");
        let pki = pki.parent().expect("a directory").to_string_lossy().into_owned();
        let line = format!("{program} {}", arguments.join(" "));
        line.replace(&pki, "testdata/transcripts/pki")
            .replace(&*self.directory.to_string_lossy(), "TMP")
    }

    /// The server runs for all connections, unless one wants it started anew.
    fn as_client(&self, clock: u64) -> (Vec<String>, Recording) {
        let mut commands = Vec::new();
        let mut running: Option<(SocketAddr, Arc<Mutex<Option<Process>>>)> = None;
        let recording = record_case(self.case, clock, self.older, |number| {
            let plan = &self.case.connections[number];
            if !plan.arguments.is_empty() {
                running = None;
            }
            let (address, process) = running.get_or_insert_with(|| {
                let (command, process, address) = self.server(&plan.arguments);
                commands.push(command);
                (address, Arc::new(Mutex::new(Some(process))))
            });
            let socket = TcpStream::connect(*address).expect("the server listens");
            let director = Conductor {
                runtime: Arc::clone(&self.runtime),
                process: Arc::clone(process),
                ends: false,
                tells_exports: self.case.peer.program == Program::OpenSsl,
            };
            (Wire::record(true, socket), Box::new(director))
        });
        (commands, recording)
    }

    fn server(&self, more: &[&str]) -> (String, Process, SocketAddr) {
        let Peer {
            program,
            identity,
            arguments,
        } = &self.case.peer;
        let files = identity_files(identity);
        let all = arguments.iter().chain(more);
        let mut arguments: Vec<String> = all.map(|argument| self.fill(argument)).collect();
        match program {
            Program::OpenSsl => {
                let count = self.case.connections.len().to_string();
                arguments.extend(["-naccept".to_owned(), count]);
                let borrowed: Vec<&str> = arguments.iter().map(String::as_str).collect();
                let server = self.runtime.block_on(s_server(&files, &borrowed));
                let file = |path: &Path| path.to_string_lossy().into_owned();
                let shown = format!(
                    "openssl s_server -accept 127.0.0.1:0 -cert {} -key {}",
                    file(&files.leaf),
                    file(&files.key)
                );
                (self.written(&shown, &arguments), server.process, server.address)
            }
            Program::GnuTls => {
                let port = TcpListener::bind("127.0.0.1:0").expect("a port");
                let address = port.local_addr().expect("its number");
                drop(port);
                let file = |path: &Path| path.to_string_lossy().into_owned();
                let own = [
                    "--x509certfile",
                    &file(&files.chain),
                    "--x509keyfile",
                    &file(&files.key),
                ];
                let own = own.map(str::to_owned);
                let mut arguments = [&own[..], &arguments].concat();
                let shown = self.written("gnutls-serv --port PORT", &arguments);
                arguments.extend(["--port".to_owned(), address.port().to_string()]);
                let process = self.runtime.block_on(listening(&arguments, address));
                (shown, process, address)
            }
        }
    }

    /// There is a client for each connection.
    fn as_server(&self, clock: u64) -> (Vec<String>, Recording) {
        let mut commands = Vec::new();
        let recording = record_case(self.case, clock, self.older, |number| {
            let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
            let port = listener.local_addr().expect("its number").port().to_string();
            let plan = &self.case.connections[number];
            let more = self.case.peer.arguments.iter().chain(&plan.arguments);
            let more = more.map(|argument| self.fill(argument));
            let ca = root_file("root").to_string_lossy().into_owned();
            let (program, fixed, first) = match self.case.peer.program {
                Program::OpenSsl => (
                    "openssl",
                    vec!["s_client".to_owned(), "-CAfile".to_owned(), ca],
                    "-connect",
                ),
                Program::GnuTls => ("gnutls-cli", vec!["--x509cafile".to_owned(), ca], "--port"),
            };
            let mut arguments: Vec<String> = fixed.into_iter().chain(more).collect();
            commands.push(self.written(program, &arguments));
            match self.case.peer.program {
                Program::OpenSsl => arguments.extend([first.to_owned(), format!("127.0.0.1:{port}")]),
                Program::GnuTls => arguments.extend([first.to_owned(), port, "127.0.0.1".to_owned()]),
            }
            let inside = self.runtime.enter();
            let process = Process::spawn(program, &arguments);
            drop(inside);
            let socket = accept(&listener, &process);
            let director = Conductor {
                runtime: Arc::clone(&self.runtime),
                process: Arc::new(Mutex::new(Some(process))),
                ends: true,
                tells_exports: self.case.peer.program == Program::OpenSsl,
            };
            (Wire::record(false, socket), Box::new(director))
        });
        commands.dedup();
        (commands, recording)
    }
}

fn accept(listener: &TcpListener, process: &Process) -> TcpStream {
    listener
        .set_nonblocking(true)
        .expect("a socket that does not block");
    let started = Instant::now();
    loop {
        if let Ok((socket, _)) = listener.accept() {
            socket.set_nonblocking(false).expect("a socket that blocks");
            return socket;
        }
        assert!(
            started.elapsed() < LIMIT,
            "the client does not come\n{}",
            process.text()
        );
        std::thread::sleep(Duration::from_millis(5));
    }
}

async fn listening(arguments: &[String], address: SocketAddr) -> Process {
    let process = Process::spawn("gnutls-serv", arguments);
    let listens = timeout(LIMIT, async {
        while tokio::net::TcpStream::connect(address).await.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    assert!(
        listens.await.is_ok(),
        "gnutls-serv does not listen\n{}",
        process.text()
    );
    process
}

struct Conductor {
    runtime: Arc<Runtime>,
    process: Arc<Mutex<Option<Process>>>,
    /// Whether the program ends with the connection.
    ends: bool,
    /// Whether it prints the keying material that it exports.
    tells_exports: bool,
}

impl Conductor {
    fn with<T>(&self, act: impl FnOnce(&Runtime, &mut Process) -> T) -> T {
        let mut process = self.process.lock().expect("nothing panics with it");
        act(&self.runtime, process.as_mut().expect("it runs"))
    }
}

impl Director for Conductor {
    fn say(&mut self, text: &str) {
        self.with(|runtime, process| runtime.block_on(process.send(text.as_bytes())))
            .expect("the peer reads its input");
    }

    fn pause(&mut self) {
        std::thread::sleep(PAUSE);
    }

    fn end_input(&mut self) {
        self.with(|_, process| process.close_stdin());
    }

    fn check_export(&mut self, expected: &[u8]) {
        if !self.tells_exports {
            return;
        }
        let expected = hex(expected).to_uppercase();
        self.with(|runtime, process| runtime.block_on(process.wait_for(&expected)));
    }
}

impl Drop for Conductor {
    fn drop(&mut self) {
        if self.ends
            && let Ok(mut process) = self.process.lock()
            && let Some(mut process) = process.take()
        {
            // A client may have a session to write down. What still runs then is killed.
            process.close_stdin();
            let _ = self
                .runtime
                .block_on(async { timeout(LAST_WORDS, process.finish()).await });
        }
    }
}
