//! `--metrics`: what is counted of connections, as Prometheus reads it, over plain HTTP.

mod recorder;
mod registry;

use std::io;
use std::sync::Arc;

use clap::Args;
use tls_tokio::{MetricsObserver, TlsAcceptor};
use tokio::io::{AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::sleep;

use self::registry::Registry;
use super::ACCEPT_PAUSE;
use super::http::{Request, Response, Status, read_request};
use crate::console;
use crate::failure::Failure;

/// Connections that are answered at the same time; others wait. Those who scrape are few.
const MAX_CONNECTIONS: usize = 16;

/// What Prometheus calls its text format.
const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Whether and where metrics are shown.
#[derive(Debug, Args)]
pub(crate) struct MetricsArguments {
    /// Show metrics at http://ADDRESS:PORT/metrics, as Prometheus reads them: in the clear, to whoever can connect; port 0
    /// takes a free one
    #[arg(long, value_name = "ADDRESS:PORT")]
    metrics: Option<String>,
}

impl MetricsArguments {
    /// Has the acceptor's connections counted, and shows the numbers from here on, if that is asked for.
    pub(super) async fn count(self, acceptor: TlsAcceptor) -> Result<TlsAcceptor, Failure> {
        let Some(listen) = self.metrics else {
            return Ok(acceptor);
        };
        let cannot = |error: io::Error| Failure::new(format!("cannot show metrics on {listen}: {error}"));
        let listener = TcpListener::bind(&listen).await.map_err(cannot)?;
        let address = listener.local_addr().map_err(cannot)?;
        let registry = Arc::new(Registry::default());
        metrics::set_global_recorder(Arc::clone(&registry))
            .map_err(|error| Failure::new(format!("cannot count: {error}")))?;
        tokio::spawn(show(listener, registry));
        console::print(format_args!("metrics at http://{address}/metrics"));
        Ok(acceptor.observer(Arc::new(MetricsObserver::new())))
    }
}

/// Answers whoever asks, for ever.
async fn show(listener: TcpListener, registry: Arc<Registry>) {
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    while let Ok(place) = Arc::clone(&places).acquire_owned().await {
        match listener.accept().await {
            Ok((tcp, _)) => {
                let registry = Arc::clone(&registry);
                tokio::spawn(async move {
                    // Somebody who does not want the answer is no loss.
                    let _ = answer(tcp, &registry).await;
                    drop(place);
                });
            }
            Err(error) => {
                console::say(format_args!("cannot accept connections for metrics: {error}"));
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn answer(tcp: TcpStream, registry: &Registry) -> io::Result<()> {
    let mut stream = BufReader::new(tcp);
    let (response, head_only) = match read_request(&mut stream).await? {
        Request::Complete { method, target } => reply(&method, &target, registry),
        Request::Bad(status) => (Response::text(status, status.1), false),
        Request::None => return Ok(()),
    };
    response.send(&mut stream, head_only).await?;
    stream.shutdown().await
}

/// The answer to a request, and whether its body is left out.
fn reply(method: &str, target: &str, registry: &Registry) -> (Response, bool) {
    let path = target.split('?').next().unwrap_or_default();
    let response = if method != "GET" && method != "HEAD" {
        Response::text(Status::METHOD_NOT_ALLOWED, "only GET and HEAD")
    } else if path != "/metrics" {
        Response::text(Status::NOT_FOUND, "metrics are at /metrics")
    } else {
        Response {
            status: Status::OK,
            content_type: CONTENT_TYPE,
            body: registry.to_string(),
        }
    };
    (response, method == "HEAD")
}

#[cfg(test)]
mod tests {
    use super::{CONTENT_TYPE, Registry, Status, reply};

    #[test]
    fn metrics_are_at_one_place_and_for_reading_only() {
        let registry = Registry::default();
        for (method, target, status, head_only) in [
            ("GET", "/metrics", Status::OK, false),
            ("GET", "/metrics?name=x", Status::OK, false),
            ("HEAD", "/metrics", Status::OK, true),
            ("GET", "/", Status::NOT_FOUND, false),
            ("GET", "/metrics/", Status::NOT_FOUND, false),
            ("POST", "/metrics", Status::METHOD_NOT_ALLOWED, false),
        ] {
            let (response, without_body) = reply(method, target, &registry);
            assert_eq!(
                (response.status, without_body),
                (status, head_only),
                "{method} {target}"
            );
            assert_eq!(response.content_type == CONTENT_TYPE, status == Status::OK);
        }
    }
}
