//! `tls transcript`: whole connections as text.

mod record;
mod replay;

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use tls_transcript::Recording;

pub(crate) use self::record::Secrets;
use crate::args::{ConnectArguments, Limit, ServeArguments, Target, seconds, target};
use crate::failure::Failure;
use crate::setup;

const EXAMPLES: &str = "\
A transcript has all bytes of its connections, in the pieces in which they came, with what is in them above, and the \
secrets to decrypt them: whoever has it can read them. It is what the tests in testdata/transcripts are made of.

Examples:
  tls transcript record failing.txt connect example.com:443
  tls transcript record mine.txt serve --echo --once
  tls transcript show failing.txt
  xxd capture.bin | tls transcript show -
  tls transcript replay failing.txt --listen 127.0.0.1:8443
  tls transcript replay mine.txt --connect localhost:8443";

/// `tls transcript`
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct TranscriptArguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Connect or serve, and write the connections down
    Record(Box<RecordArguments>),
    /// Show what is in a transcript, or in a hex dump as far as it can be read without keys
    Show(ShowArguments),
    /// Say again what one side said, and tell whether the other answers with as many bytes
    Replay(ReplayArguments),
}

#[derive(Debug, Args)]
struct RecordArguments {
    /// Where to write the transcript; a file that is there is not touched
    #[arg(value_name = "FILE")]
    file: PathBuf,

    #[command(subcommand)]
    command: Recorded,
}

#[derive(Debug, Subcommand)]
enum Recorded {
    /// As `tls connect`; the connection goes through a relay on 127.0.0.1
    Connect(ConnectArguments),
    /// As `tls serve`; a relay listens for it
    Serve(ServeArguments),
}

#[derive(Debug, Args)]
struct ShowArguments {
    /// A transcript, or a hex dump (xxd, hexdump -C, or digits); `-` for stdin
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

#[derive(Debug, Args)]
#[command(group(clap::ArgGroup::new("role").args(["listen", "connect"]).required(true)))]
struct ReplayArguments {
    /// The transcript
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// Be the server: wait for one client here; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<String>,

    /// Be the client of this server
    #[arg(long, value_name = "HOST:PORT", value_parser = target)]
    connect: Option<Target>,

    /// Which of the connections
    #[arg(long, value_name = "N", default_value = "1")]
    connection: usize,

    /// How long to wait for what the other side said; 0 for no limit
    #[arg(long, value_name = "SECONDS", default_value = "5", value_parser = seconds)]
    timeout: Limit,
}

pub(crate) async fn run(arguments: TranscriptArguments) -> Result<(), Failure> {
    match arguments.command {
        Command::Record(arguments) => Box::pin(record::run(*arguments)).await,
        Command::Show(arguments) => show(&arguments.file),
        Command::Replay(arguments) => replay::run(arguments).await,
    }
}

fn show(file: &Path) -> Result<(), Failure> {
    use std::io::{Read as _, Write as _};
    let bytes = if file == Path::new("-") {
        let mut bytes = Vec::new();
        let read = std::io::stdin().lock().read_to_end(&mut bytes);
        read.map_err(|error| Failure::new(format!("cannot read stdin: {error}")))?;
        bytes
    } else {
        setup::read_file(file)?
    };
    let text = String::from_utf8_lossy(&bytes);
    let recording = if text.contains("\n=== connection ") {
        Recording::parse(&text)
    } else {
        Recording::from_dump(&text)
    };
    let recording = recording.map_err(|error| Failure::new(format!("{}: {error}", file.display())))?;
    // A reader that has seen enough is no failure.
    let _ = std::io::stdout().lock().write_all(recording.summary().as_bytes());
    Ok(())
}

fn read(file: &Path) -> Result<Recording, Failure> {
    let bytes = setup::read_file(file)?;
    let text = String::from_utf8_lossy(&bytes);
    Recording::parse(&text).map_err(|error| Failure::new(format!("{}: {error}", file.display())))
}
