//! Clients that speak plain HTTP to a TLS port get an answer that they can read.

use core::time::Duration;
use std::io;

use tls_core::ErrorKind;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::time::timeout;

use crate::error::{Error, HandshakeFailure};

/// For the rest of the request to come, the answer to be taken, and the client to close.
const LIMIT: Duration = Duration::from_secs(1);

/// Of a request's first line, which is all that is looked at.
const MAX_LINE: usize = 4096;

/// Input that is thrown away behind that; unread input would turn our close into a reset that destroys the answer.
const MAX_DISCARDED: u64 = 64 * 1024;

/// What [`HandshakeFailure::answer_plain_http`] says.
///
/// Example: that of [`HandshakeFailure`](crate::HandshakeFailure).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PlainHttpAnswer<'a> {
    /// 400 Bad Request, with a line of text that says what is wrong.
    BadRequest,
    /// 308 Permanent Redirect to `https://` and this authority, with the path of the request; 400 where the request has
    /// none. What the client says in `Host` is not looked at, so that nobody can have others sent to a place of his own.
    RedirectTo {
        /// The name that certificates are for, with a port unless that is 443: `example.com:8443`.
        authority: &'a str,
    },
}

impl<IO: AsyncRead + AsyncWrite + Unpin> HandshakeFailure<IO> {
    /// Answers a client whose first bytes were those of an HTTP request instead of a handshake's
    /// ([`ErrorKind::NotTls`]), and closes the transport: within a second, and best effort.
    ///
    /// Not cancel safe: dropping the future drops the transport, and so closes it.
    ///
    /// # Errors
    /// The failure as it was, if it was another one.
    pub async fn answer_plain_http(self, answer: PlainHttpAnswer<'_>) -> Result<(), Self> {
        let first_bytes = match &self.error {
            Error::Tls(error) => match error.kind() {
                ErrorKind::NotTls { first_bytes } if looks_like_http(first_bytes) => first_bytes,
                _ => return Err(self),
            },
            _ => return Err(self),
        };
        let mut line = first_bytes.clone();
        let mut io = self.io;
        let exchange = async {
            let target = match answer {
                PlainHttpAnswer::BadRequest => None,
                PlainHttpAnswer::RedirectTo { authority } => {
                    read_line(&mut io, &mut line).await?;
                    target(&line).map(|target| (authority, target))
                }
            };
            io.write_all(response(target).as_bytes()).await?;
            io.shutdown().await?;
            tokio::io::copy(&mut io.take(MAX_DISCARDED), &mut tokio::io::sink()).await
        };
        if let Ok(Err(error)) = timeout(LIMIT, exchange).await {
            tracing::debug!(%error, "a client of plain HTTP was not answered");
        }
        Ok(())
    }
}

/// A method is letters, upper case in all that are in use, and a space; how much of that is seen depends on how much had
/// come.
fn looks_like_http(first_bytes: &[u8]) -> bool {
    let letters = first_bytes
        .iter()
        .take_while(|byte| byte.is_ascii_uppercase())
        .count();
    letters >= 3 && first_bytes.get(letters).is_none_or(|&byte| byte == b' ')
}

/// Reads on to the end of the first line, or as far as there is one.
async fn read_line<IO: AsyncRead + Unpin>(io: &mut IO, line: &mut Vec<u8>) -> io::Result<()> {
    while !line.contains(&b'\n') && line.len() < MAX_LINE && io.take(512).read_buf(line).await? > 0 {}
    Ok(())
}

/// The path and query of a request's first line, in bytes that may stand in a header (RFC 9112 3.2.1).
fn target(line: &[u8]) -> Option<&str> {
    let line = line.get(..line.iter().position(|&byte| byte == b'\n')?)?;
    let mut parts = line.trim_ascii_end().split(|&byte| byte == b' ');
    let (_method, target, _version) = (parts.next()?, parts.next()?, parts.next()?);
    let is_path = target.first() == Some(&b'/') && target.iter().all(u8::is_ascii_graphic);
    core::str::from_utf8(target)
        .ok()
        .filter(|_| is_path && parts.next().is_none())
}

fn response(redirect: Option<(&str, &str)>) -> String {
    let (status, location) = match redirect {
        None => ("400 Bad Request", String::new()),
        Some((authority, target)) => (
            "308 Permanent Redirect",
            format!("Location: https://{authority}{target}\r\n"),
        ),
    };
    let body = "This port speaks TLS: the URL begins with https, not http.\n";
    format!(
        "HTTP/1.1 {status}\r\n{location}Content-Type: text/plain; charset=utf-8\r\nContent-Length: {}\r\n\
         Cache-Control: no-store\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_are_told_from_other_bytes() {
        assert!(looks_like_http(b"GET /"));
        assert!(looks_like_http(b"DELETE"));
        assert!(!looks_like_http(b"\x16\x03\x01"));
        assert!(!looks_like_http(b"ssh"));
        assert!(!looks_like_http(b"SSH-2.0-x"));
        assert!(!looks_like_http(b"GE"));
    }

    #[test]
    fn only_a_path_is_redirected() {
        assert_eq!(target(b"GET /a?b=c HTTP/1.1\r\nHost: x\r\n"), Some("/a?b=c"));
        assert_eq!(target(b"GET / HTTP/1.0\n"), Some("/"));
        for line in [
            &b"GET / HTTP/1.1"[..],
            b"GET /\r\n",
            b"GET http://elsewhere/ HTTP/1.1\r\n",
            b"OPTIONS * HTTP/1.1\r\n",
            b"GET .elsewhere/ HTTP/1.1\r\n",
            b"GET @elsewhere/ HTTP/1.1\r\n",
            b"GET /\r.elsewhere HTTP/1.1\r\n",
            b"GET /\xff HTTP/1.1\r\n",
            b"GET / and more HTTP/1.1\r\n",
        ] {
            assert_eq!(target(line), None, "{}", line.escape_ascii());
        }
    }
}
