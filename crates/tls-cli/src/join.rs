//! Stdin and stdout joined to a stream, until the peer closes.

use core::cell::Cell;
use core::time::Duration;
use std::io;

use tls_tokio::TlsStream;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until};

use crate::console;
use crate::failure::Failure;

/// Four records.
const BUFFER: usize = 64 * 1024;

/// Sends stdin and prints what comes. At the end of stdin our side is closed, and the peer may go on; once nothing has
/// come for `close_limit` it is given up. Says on stderr how the peer closed; anything but close_notify is a failure.
pub(crate) async fn with_stdio(
    stream: TlsStream<TcpStream>,
    close_limit: Option<Duration>,
) -> Result<(), Failure> {
    // Not the stream's own halves: with these, reading sends the answers to KeyUpdates at once.
    let (mut reader, mut writer) = tokio::io::split(stream);
    let progress = Cell::new(Instant::now());

    let end = {
        let upload = async {
            let sent = send_stdin(&mut writer).await;
            progress.set(Instant::now());
            // A failed write is not the last word: the peer may have said why, and the reader will see it.
            match (sent, given_up(&progress, close_limit).await) {
                (Ok(()), TimedOut) => End::TimedOut,
                (Err(failure), TimedOut) => End::Local(failure),
            }
        };
        tokio::select! {
            // What has come is printed before anything else is considered.
            biased;
            end = receive(&mut reader, &progress) => end,
            end = upload => end,
        }
    };

    match end {
        End::CloseNotify => {
            // The peer is done with us: whether it takes our close_notify is its affair.
            let _ = writer.shutdown().await;
            console::say(format_args!("the peer closed with close_notify"));
            Ok(())
        }
        End::Transport(error) => Err(Failure::new(how_it_ended(&error))),
        End::TimedOut => {
            let limit = close_limit.unwrap_or_default();
            Err(Failure::new(format!(
                "timed out: the peer neither sent nor closed within {limit:?} of our close"
            )))
        }
        End::Local(failure) => Err(failure),
    }
}

/// Why it is over.
enum End {
    CloseNotify,
    Transport(io::Error),
    TimedOut,
    /// On this side: stdin, stdout, or a write that failed without a word from the peer.
    Local(Failure),
}

/// The peer has been silent for long enough.
struct TimedOut;

async fn send_stdin(writer: &mut (impl AsyncWrite + Unpin)) -> Result<(), Failure> {
    let cannot_send = |error: io::Error| Failure::new(format!("cannot send: {error}"));
    let mut stdin = tokio::io::stdin();
    let mut buffer = vec![0; BUFFER];
    loop {
        let count = stdin
            .read(&mut buffer)
            .await
            .map_err(|error| Failure::new(format!("cannot read stdin: {error}")))?;
        let Some(data @ [_, ..]) = buffer.get(..count) else {
            return writer.shutdown().await.map_err(cannot_send);
        };
        writer.write_all(data).await.map_err(cannot_send)?;
        writer.flush().await.map_err(cannot_send)?;
    }
}

async fn receive(reader: &mut (impl AsyncRead + Unpin), progress: &Cell<Instant>) -> End {
    let mut stdout = tokio::io::stdout();
    let mut buffer = vec![0; BUFFER];
    loop {
        let data = match reader.read(&mut buffer).await {
            Ok(count) => buffer.get(..count).unwrap_or_default(),
            Err(error) => return End::Transport(error),
        };
        if data.is_empty() {
            return End::CloseNotify;
        }
        let printed = async {
            stdout.write_all(data).await?;
            stdout.flush().await
        };
        if let Err(error) = printed.await {
            return End::Local(Failure::new(format!("cannot write to stdout: {error}")));
        }
        progress.set(Instant::now());
    }
}

/// Waits until there has been no progress for the limit.
async fn given_up(progress: &Cell<Instant>, limit: Option<Duration>) -> TimedOut {
    loop {
        let Some(until) = limit.and_then(|limit| progress.get().checked_add(limit)) else {
            return core::future::pending().await;
        };
        if until <= Instant::now() {
            return TimedOut;
        }
        sleep_until(until).await;
    }
}

fn how_it_ended(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => {
            "truncated: the peer closed without close_notify, and data may be missing".to_owned()
        }
        io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => {
            format!("reset: the peer broke the connection off: {error}")
        }
        _ => format!("the connection failed: {error}"),
    }
}
