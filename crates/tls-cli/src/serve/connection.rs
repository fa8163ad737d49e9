//! One connection, from its handshake to its line in the log.

use core::fmt;
use core::time::Duration;
use std::io;
use std::net::SocketAddr;

use tls_tokio::{Shutdown, TlsAcceptor, TlsStream};
use tokio::net::TcpStream;

use super::http::{Request, Response, read_request};
use super::{Mode, echo, page, plain};
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
pub(super) async fn serve(acceptor: TlsAcceptor, mode: Mode, tcp: TcpStream, client: SocketAddr) -> Outcome {
    // Only a matter of latency.
    let _ = tcp.set_nodelay(true);
    let mut stream = match acceptor.accept(tcp).await {
        Ok(stream) => stream,
        Err(failure) => {
            console::say(format_args!("{client} failed: {failure}"));
            let (error, tcp) = failure.into_parts();
            plain::answer(&error, tcp).await;
            return Outcome::Failed;
        }
    };
    let facts = Facts::on_server(&stream.info());
    let exchanged = match mode {
        Mode::Http => http(&mut stream, &facts).await,
        Mode::Echo => echo::echo(&mut stream)
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

/// Answers one request; says which, for the log.
async fn http(stream: &mut TlsStream<TcpStream>, facts: &Facts) -> io::Result<String> {
    match read_request(stream).await? {
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
