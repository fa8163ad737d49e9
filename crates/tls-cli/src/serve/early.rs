//! An HTTP request in early data (RFC 8470).

use std::io;

use tls_tokio::EarlyTlsStream;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;

use super::http::{Request, read_request};
use super::page;
use crate::describe::Facts;

/// What came of early data.
pub(super) enum Early {
    /// A request in it was answered; this is for the log.
    Answered(String),
    /// The beginning of a request that has to wait for the end of the handshake.
    Read(Vec<u8>),
}

/// Answers a request that is complete and safe (section 3 of RFC 8470: GET and HEAD change nothing, so that a replay does
/// no harm). An error of the connection is left to the end of the handshake, which meets it again.
pub(super) async fn answer(stream: &mut EarlyTlsStream<TcpStream>, facts: &Facts) -> Early {
    let mut head = Vec::new();
    if read_head(stream, &mut head).await.is_ok()
        && let Ok(Request::Complete { method, target }) = read_request(&mut head.as_slice()).await
        && matches!(method.as_str(), "GET" | "HEAD")
    {
        let reply = page::reply(&method, &target, facts);
        // There is no KeyUpdate before the end of the handshake.
        if !reply.key_update && reply.response.send(stream, reply.head_only).await.is_ok() {
            return Early::Answered(format!(
                "{method} {target} {} in early data",
                reply.response.status.0
            ));
        }
    }
    Early::Read(head)
}

/// Reads to the blank line behind a head, or to the end of the early data.
async fn read_head(stream: &mut EarlyTlsStream<TcpStream>, head: &mut Vec<u8>) -> io::Result<()> {
    while !head.ends_with(b"\n\r\n") && !head.ends_with(b"\n\n") {
        let byte = match stream.read_u8().await {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
            byte => byte?,
        };
        head.push(byte);
    }
    Ok(())
}
