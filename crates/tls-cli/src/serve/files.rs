//! `--root`: the files of a directory, over HTTP/1.1 and HTTP/2.

use core::convert::Infallible;
use core::future::{pending, poll_fn};
use core::pin::Pin;
use core::time::Duration;
use std::path::{Path, PathBuf};

use hyper::body::{Body as _, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use tls_hyper::TlsConnectInfo;
use tls_tokio::{HandshakeFailure, PlainHttpAnswer, TlsListener};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tower_http::services::ServeDir;
use tower_http::services::fs::ServeFileSystemResponseBody;
use tower_service::Service as _;

use super::accept::{Server, drain};
use super::stop::StopSignal;
use crate::console;
use crate::failure::Failure;

/// So much of what a client sends with a request is read before the answer, for so long.
const BODY_LIMIT: usize = 1 << 20;
const BODY_TIME: Duration = Duration::from_secs(1);

/// The files that are served.
#[derive(Clone, Debug)]
pub(super) struct Files {
    directory: ServeDir,
}

impl Files {
    /// All files below this directory, as they are when they are asked for.
    pub(super) fn below(root: PathBuf) -> Result<Self, Failure> {
        let cannot = |why: &dyn core::fmt::Display, root: &Path| {
            Failure::new(format!("cannot serve {}: {why}", root.display()))
        };
        match std::fs::metadata(&root) {
            Ok(found) if found.is_dir() => Ok(Self {
                directory: ServeDir::new(root),
            }),
            Ok(_) => Err(cannot(&"this is no directory", &root)),
            Err(error) => Err(cannot(&error, &root)),
        }
    }

    /// Serves until we are told to stop.
    pub(super) async fn serve(
        self,
        server: Server,
        tcp: TcpListener,
        mut stop: StopSignal,
    ) -> Result<(), Failure> {
        let first_byte = server.acceptor.time_limit();
        let listener = TlsListener::new(tcp, server.acceptor)
            .first_byte_timeout(first_byte)
            .on_failure(|client, failure: HandshakeFailure<TcpStream>| {
                console::say(format_args!("{client} failed: {failure}"));
                tokio::spawn(failure.answer_plain_http(PlainHttpAnswer::BadRequest));
            });
        let answer = service_fn(move |request| self.clone().answer(request));
        let serving = tls_hyper::serve_hyper(listener, answer);
        let handle = serving.handle();
        let serving = async {
            serving.await;
            // What there is to say about the end is said below.
            pending::<()>().await;
        };
        tokio::select! {
            () = serving => {}
            () = async {
                stop.received().await;
                drain(&handle, server.drain, &mut stop).await;
            } => {}
        }
        Ok(())
    }

    /// Answers a request, and logs it when the answer begins.
    async fn answer(
        mut self,
        request: Request<Incoming>,
    ) -> Result<Response<ServeFileSystemResponseBody>, Infallible> {
        let client = request.extensions().get::<TlsConnectInfo>().cloned();
        let what = format!(
            "{} {} {:?}",
            request.method(),
            request.uri().path(),
            request.version()
        );
        let (head, mut body) = request.into_parts();
        // Nobody wants it, but an answer that overtakes it confuses clients: curl 7.88 takes the RST_STREAM that follows
        // for an error (RFC 9113 section 8.1 says that it is none).
        let _ = timeout(BODY_TIME, read_out(&mut body)).await;
        // It is always ready.
        let response = self.directory.call(Request::from_parts(head, body)).await?;
        if let Some(client) = client {
            let status = response.status().as_u16();
            let version = client.tls.version();
            console::say(format_args!("{} {what} {status}, {version}", client.address));
        }
        Ok(response)
    }
}

/// Reads to the end, or up to the limit.
async fn read_out(body: &mut Incoming) {
    let mut left = BODY_LIMIT;
    while let Some(Ok(frame)) = poll_fn(|cx| Pin::new(&mut *body).poll_frame(cx)).await {
        left = left.saturating_sub(frame.data_ref().map_or(0, |data| data.len()));
        if left == 0 {
            return;
        }
    }
}
