//! One connection, from its handshake to its line in the log.

use core::fmt;
use core::time::Duration;
use std::io;
use std::net::SocketAddr;
use std::time::Instant;

use tls_tokio::{EarlyData, HandshakeFailure, PlainHttpAnswer, Shutdown, TlsStream};
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;

use super::early::{self, Early};
use super::http::{Request, Response, read_request};
use super::{Mode, Server, echo, page};
use crate::console;
use crate::describe::Facts;

/// How long the client may take to close after us, so that our last bytes arrive.
const CLOSE_LIMIT: Duration = Duration::from_secs(2);

/// What became of a connection, for `--once`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Served,
    Failed,
}

/// Serves one client to the end, and logs it.
pub(super) async fn serve(server: Server, tcp: TcpStream, client: SocketAddr) -> Outcome {
    // Only a matter of latency.
    let _ = tcp.set_nodelay(true);
    let Accepted { mut stream, early } = match Box::pin(accept(&server, tcp)).await {
        Ok(accepted) => accepted,
        Err(failure) => {
            console::say(format_args!("{client} failed: {failure}"));
            // Of the other failures nothing is left to say.
            let _ = failure.answer_plain_http(PlainHttpAnswer::BadRequest).await;
            return Outcome::Failed;
        }
    };
    let info = stream.info();
    let facts = Facts::on_server(&info, info.handshake_time());
    let exchanged = match (server.mode, early) {
        (Mode::Http, Early::Answered(what)) => Ok(what),
        (Mode::Http, Early::Read(head)) => http(&mut stream, &head, &facts).await,
        (Mode::Echo, _) => echo::echo(&mut stream)
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
struct Accepted {
    stream: TlsStream<TcpStream>,
    early: Early,
}

/// Runs the handshake. Where early data is taken, an HTTP request in it is answered before the handshake is over.
async fn accept(server: &Server, tcp: TcpStream) -> Result<Accepted, HandshakeFailure<TcpStream>> {
    let none = Early::Read(Vec::new());
    if !server.takes_early_data {
        let stream = server.acceptor.accept(tcp).await?;
        return Ok(Accepted { stream, early: none });
    }
    let started = Instant::now();
    let mut unfinished = server.acceptor.accept_early(tcp).await?;
    let early = match (server.mode, unfinished.negotiated().early_data()) {
        (Mode::Http, EarlyData::Accepted) => {
            let facts = Facts::of(unfinished.negotiated(), started.elapsed());
            early::answer(&mut unfinished, &facts).await
        }
        _ => none,
    };
    let stream = unfinished.finish().await?;
    Ok(Accepted { stream, early })
}

/// Answers one request, of which `head` was read before; says which, for the log.
async fn http(stream: &mut TlsStream<TcpStream>, head: &[u8], facts: &Facts) -> io::Result<String> {
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
