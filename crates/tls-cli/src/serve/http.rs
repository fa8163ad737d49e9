//! Just enough HTTP/1.1 (RFC 9112) to show a page: one request, one response, and the connection is closed.

use core::time::Duration;
use std::io;

use tokio::io::{AsyncBufRead, AsyncBufReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::time::timeout;

/// Head of a request: more than any browser sends, less than hurts.
const MAX_HEAD: usize = 16 * 1024;

/// From the end of the handshake to the blank line.
const HEAD_LIMIT: Duration = Duration::from_secs(10);

/// For the response to be taken.
const RESPONSE_LIMIT: Duration = Duration::from_secs(10);

/// What came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Request {
    /// A request with its method and target.
    Complete { method: String, target: String },
    /// The client closed without asking for anything, as browsers do with connections kept in reserve.
    None,
    /// Something else; the status says what is wrong with it.
    Bad(Status),
}

/// A status code with its reason phrase.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Status(pub(crate) u16, pub(crate) &'static str);

impl Status {
    pub(crate) const OK: Self = Self(200, "OK");
    pub(crate) const BAD_REQUEST: Self = Self(400, "Bad Request");
    pub(crate) const NOT_FOUND: Self = Self(404, "Not Found");
    pub(crate) const METHOD_NOT_ALLOWED: Self = Self(405, "Method Not Allowed");
    pub(crate) const TIMEOUT: Self = Self(408, "Request Timeout");
    pub(crate) const TOO_LARGE: Self = Self(431, "Request Header Fields Too Large");
}

/// A response without what all have in common.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Response {
    pub(crate) status: Status,
    pub(crate) content_type: &'static str,
    pub(crate) body: String,
}

impl Response {
    /// A status and a line that explains it.
    pub(crate) fn text(status: Status, explanation: &str) -> Self {
        Self {
            status,
            content_type: "text/plain; charset=utf-8",
            body: format!("{explanation}\n"),
        }
    }

    /// The whole response; without its body in answer to HEAD.
    pub(crate) fn bytes(&self, head_only: bool) -> Vec<u8> {
        let Status(code, reason) = self.status;
        let allow = if self.status == Status::METHOD_NOT_ALLOWED {
            "Allow: GET, HEAD\r\n"
        } else {
            ""
        };
        let mut bytes = format!(
            "HTTP/1.1 {code} {reason}\r\nContent-Type: {}\r\nContent-Length: {}\r\nCache-Control: no-store\r\n\
             {allow}Connection: close\r\n\r\n",
            self.content_type,
            self.body.len()
        )
        .into_bytes();
        if !head_only {
            bytes.extend_from_slice(self.body.as_bytes());
        }
        bytes
    }

    /// Sends it in one write, so that it is one record where it fits.
    pub(crate) async fn send<W>(&self, stream: &mut W, head_only: bool) -> io::Result<()>
    where
        W: AsyncWrite + Unpin,
    {
        let bytes = self.bytes(head_only);
        let sent = timeout(RESPONSE_LIMIT, async {
            stream.write_all(&bytes).await?;
            stream.flush().await
        });
        sent.await.unwrap_or_else(|_| {
            Err(io::Error::new(
                io::ErrorKind::TimedOut,
                "the client does not take the response",
            ))
        })
    }
}

/// Reads a request to its blank line, however it is cut up, and no further: a body stays unread.
pub(crate) async fn read_request<S: AsyncBufRead + Unpin>(stream: &mut S) -> io::Result<Request> {
    let mut head = Vec::new();
    match timeout(HEAD_LIMIT, read_head(stream, &mut head)).await {
        Ok(Ok(true)) => Ok(parse(&head)),
        Ok(Ok(false)) if head.is_empty() => Ok(Request::None),
        Ok(Ok(false)) if head.len() >= MAX_HEAD => Ok(Request::Bad(Status::TOO_LARGE)),
        Ok(Ok(false)) => Ok(Request::Bad(Status::BAD_REQUEST)),
        Ok(Err(error)) => Err(error),
        Err(_) => Ok(Request::Bad(Status::TIMEOUT)),
    }
}

/// Whether the head is complete; it is not where the client closed, or the limit was reached.
async fn read_head<S: AsyncBufRead + Unpin>(stream: &mut S, head: &mut Vec<u8>) -> io::Result<bool> {
    let mut line_start = 0;
    while head.len() < MAX_HEAD {
        let available = stream.fill_buf().await?;
        if available.is_empty() {
            return Ok(false);
        }
        let rest_of_line = available
            .iter()
            .position(|byte| *byte == b'\n')
            .map(|end| end.saturating_add(1));
        let count = rest_of_line
            .unwrap_or(available.len())
            .min(MAX_HEAD.saturating_sub(head.len()));
        head.extend_from_slice(available.get(..count).unwrap_or_default());
        stream.consume(count);
        if head.last() == Some(&b'\n') {
            let is_blank = matches!(head.get(line_start..), Some(b"\n" | b"\r\n"));
            // Section 2.2: empty lines before the request line are to be ignored.
            if is_blank && line_start == 0 {
                head.clear();
            } else if is_blank {
                return Ok(true);
            }
            line_start = head.len();
        }
    }
    Ok(false)
}

/// Method and target of the request line. The header fields are of no interest.
fn parse(head: &[u8]) -> Request {
    let line = head.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let words = str::from_utf8(line).map(|line| line.split_ascii_whitespace().collect::<Vec<_>>());
    match words.as_deref() {
        Ok([method, target, version]) if version.starts_with("HTTP/1.") => Request::Complete {
            method: (*method).to_owned(),
            target: (*target).to_owned(),
        },
        _ => Request::Bad(Status::BAD_REQUEST),
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncWriteExt as _, BufReader, duplex};

    use super::{MAX_HEAD, Request, Response, Status, read_request};

    async fn request(pieces: &[&[u8]]) -> Request {
        let (mut client, server) = duplex(1);
        let sending = async {
            for piece in pieces {
                // The server may have read enough.
                let _ = client.write_all(piece).await;
            }
            drop(client);
        };
        let mut server = BufReader::new(server);
        let reading = async {
            let request = read_request(&mut server).await.unwrap();
            drop(server);
            request
        };
        tokio::join!(sending, reading).1
    }

    fn get(target: &str) -> Request {
        Request::Complete {
            method: "GET".to_owned(),
            target: target.to_owned(),
        }
    }

    #[tokio::test]
    async fn a_request_ends_at_its_blank_line_with_or_without_cr() {
        assert_eq!(
            request(&[b"GET / HTTP/1.1\r\nHost: a\r\n\r\nrest"]).await,
            get("/")
        );
        assert_eq!(request(&[b"GET /a HTTP/1.1\nHost: a\n\n"]).await, get("/a"));
        assert_eq!(
            request(&[b"GET /b HTTP/1.0\r\nHost: a\n", b"\r", b"\n"]).await,
            get("/b")
        );
        assert_eq!(request(&[b"GET /c HTTP/1.1\r\n\r\n"]).await, get("/c"));
    }

    #[tokio::test]
    async fn blank_lines_before_a_request_are_ignored() {
        assert_eq!(request(&[b"\r\n\nGET / HTTP/1.1\r\n\r\n"]).await, get("/"));
    }

    #[tokio::test]
    async fn an_incomplete_request_is_bad_and_silence_is_none() {
        assert_eq!(
            request(&[b"GET / HTTP/1.1\r\nHost: a\r\n"]).await,
            Request::Bad(Status::BAD_REQUEST)
        );
        assert_eq!(
            request(&[b"GET / HTTP/1.1\r\n\r"]).await,
            Request::Bad(Status::BAD_REQUEST)
        );
        assert_eq!(request(&[]).await, Request::None);
    }

    #[tokio::test]
    async fn what_is_no_request_is_bad() {
        for bad in [
            &b"GET /\r\n\r\n"[..],
            b"hello\n\n",
            b"GET / HTTP/2.0\r\n\r\n",
            b"\xff / HTTP/1.1\r\n\r\n",
        ] {
            assert_eq!(
                request(&[bad]).await,
                Request::Bad(Status::BAD_REQUEST),
                "{bad:?}"
            );
        }
    }

    #[tokio::test]
    async fn a_head_without_end_is_too_large() {
        let long = vec![b'a'; MAX_HEAD];
        assert_eq!(
            request(&[b"GET / HTTP/1.1\r\nX: ", &long]).await,
            Request::Bad(Status::TOO_LARGE)
        );
    }

    #[test]
    fn a_head_response_has_the_length_of_its_body_but_not_the_body() {
        let response = Response::text(Status::OK, "hello");
        let (with, without) = (response.bytes(false), response.bytes(true));
        assert_eq!(with.strip_prefix(without.as_slice()), Some(&b"hello\n"[..]));
        assert!(
            str::from_utf8(&without)
                .unwrap()
                .contains("Content-Length: 6\r\n")
        );
    }
}
