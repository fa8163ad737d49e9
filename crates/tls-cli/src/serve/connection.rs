//! One connection, from its handshake to its line in the log.

use core::fmt;
use core::time::Duration;
use std::io;
use std::net::SocketAddr;
use std::time::Instant;

use tls_tokio::{ConnectionContext, EarlyData, HandshakeFailure, Shutdown, TlsAcceptor, TlsStream};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _};
use tokio::net::TcpStream;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::early::{self, Early};
use super::http::{Request, Response, read_request};
use super::{Mode, echo, page};
use crate::console;
use crate::describe::Facts;

/// How long the client may take to close after us, so that our last bytes arrive.
const CLOSE_LIMIT: Duration = Duration::from_secs(2);

/// How long a client may take to begin a request once we are to stop.
const LAST_REQUEST: Duration = Duration::from_secs(1);

/// What became of a connection, for `--once`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Served,
    Failed,
}

/// Serves one client to the end, and logs it.
pub(super) async fn serve(
    mode: Mode,
    established: Established,
    client: SocketAddr,
    draining: &CancellationToken,
) -> Outcome {
    let Established { mut stream, early } = established;
    let info = stream.info();
    let facts = Facts::on_server(&info, info.handshake_time());
    let exchanged = match (mode, early) {
        (Mode::Http, Early::Answered(what)) => Ok(what),
        (Mode::Http, Early::Read(head)) => http(&mut stream, &head, &facts, draining).await,
        (Mode::Echo, _) => echo::echo(&mut stream, draining)
            .await
            .map(|count| format!("echoed {count} bytes")),
    };
    match exchanged {
        Ok(what) => {
            let closed = Closed(stream.graceful_shutdown(CLOSE_LIMIT).await);
            console::say(format_args!("{client} {what}, {}, {closed}", facts.summary()));
            Outcome::Served
        }
        Err(error) => {
            console::say(format_args!("{client} broke off: {error}, {}", facts.summary()));
            Outcome::Failed
        }
    }
}

/// An established stream, and what happened before it was that.
pub(super) struct Established {
    stream: TlsStream<TcpStream>,
    early: Early,
}

/// Runs the handshake. Where early data is taken, an HTTP request in it is answered before the handshake is over.
pub(super) async fn handshake(
    mode: Mode,
    takes_early_data: bool,
    acceptor: TlsAcceptor,
    tcp: TcpStream,
    context: ConnectionContext,
) -> Result<Established, HandshakeFailure<TcpStream>> {
    let none = Early::Read(Vec::new());
    if !takes_early_data {
        let stream = acceptor.accept_with(tcp, context).await?;
        return Ok(Established { stream, early: none });
    }
    let started = Instant::now();
    let mut unfinished = acceptor.accept_early_with(tcp, context).await?;
    let early = match (mode, unfinished.negotiated().early_data()) {
        (Mode::Http, EarlyData::Accepted) => {
            let facts = Facts::of(unfinished.negotiated(), started.elapsed());
            early::answer(&mut unfinished, &facts).await
        }
        _ => none,
    };
    let stream = unfinished.finish().await?;
    Ok(Established { stream, early })
}

/// Answers one request, of which `head` was read before; says which, for the log.
async fn http(
    stream: &mut TlsStream<TcpStream>,
    head: &[u8],
    facts: &Facts,
    draining: &CancellationToken,
) -> io::Result<String> {
    let told_to_stop = async {
        draining.cancelled().await;
        sleep(LAST_REQUEST).await;
    };
    // Browsers keep connections in reserve.
    tokio::select! {
        biased;
        begun = stream.fill_buf(), if head.is_empty() => { begun?; }
        () = told_to_stop, if head.is_empty() => return Ok("no request".to_owned()),
        else => {}
    }
    match read_request(&mut head.chain(&mut *stream)).await? {
        Request::Complete { method, target } => {
            let reply = page::reply(&method, &target, facts);
            if reply.key_update {
                stream.request_key_update()?;
            }
            reply.response.send(stream, reply.head_only).await?;
            Ok(format!("{method} {target} {}", reply.response.status.0))
        }
        Request::Bad(status) => {
            Response::text(status, status.1).send(stream, false).await?;
            Ok(format!("bad request {}", status.0))
        }
        Request::None => Ok("no request".to_owned()),
    }
}

/// How the client closed, for the log.
struct Closed(Shutdown);

impl fmt::Display for Closed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Shutdown::Clean => f.write_str("closed by close_notify"),
            Shutdown::PeerStillSending { discarded } => write!(f, "closed, {discarded} bytes unread"),
            Shutdown::Truncated => f.write_str("closed without close_notify"),
            Shutdown::TimedOut => write!(f, "not closed within {CLOSE_LIMIT:?}"),
            Shutdown::Reset => f.write_str("reset"),
            Shutdown::Failed(error) => write!(f, "close failed: {error}"),
            _ => f.write_str("closed"),
        }
    }
}
