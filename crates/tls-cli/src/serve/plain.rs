//! Clients that speak plain HTTP to the TLS port get an answer they can read.

use core::time::Duration;

use tls_tokio::Error;
use tls_tokio::tls_core::ErrorKind;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::http::{Response, Status};

/// For the answer to be taken and the client to close.
const LIMIT: Duration = Duration::from_secs(1);

/// Input that is thrown away meanwhile; unread input would turn our close into a reset that destroys the answer.
const MAX_DISCARDED: u64 = 64 * 1024;

/// Answers a client whose first bytes were those of an HTTP request, instead of a handshake's.
pub(crate) async fn answer(error: &Error, mut tcp: TcpStream) {
    let Error::Tls(error) = error else { return };
    let ErrorKind::NotTls { first_bytes } = error.kind() else {
        return;
    };
    if !looks_like_http(first_bytes) {
        return;
    }
    let response = Response::text(
        Status::BAD_REQUEST,
        "This port speaks TLS: the URL begins with https, not http.",
    );
    let _ = timeout(LIMIT, async {
        tcp.write_all(&response.bytes(false)).await?;
        tcp.shutdown().await?;
        tokio::io::copy(&mut tcp.take(MAX_DISCARDED), &mut tokio::io::sink()).await
    })
    .await;
}

/// A method is letters, upper case in all that are in use; how many of them are seen depends on how much had come.
fn looks_like_http(first_bytes: &[u8]) -> bool {
    first_bytes
        .first_chunk::<3>()
        .is_some_and(|start| start.iter().all(u8::is_ascii_uppercase))
}

#[cfg(test)]
mod tests {
    use super::looks_like_http;

    #[test]
    fn methods_are_told_from_other_bytes() {
        assert!(looks_like_http(b"GET /"));
        assert!(looks_like_http(b"DELETE"));
        assert!(!looks_like_http(b"\x16\x03\x01"));
        assert!(!looks_like_http(b"ssh"));
        assert!(!looks_like_http(b"GE"));
    }
}
