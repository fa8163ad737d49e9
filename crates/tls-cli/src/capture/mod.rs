//! `tls capture`: a server that writes down what clients offer, and shows each its own.

mod arguments;
mod file;
mod record;

use core::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use tls_tokio::{CertifiedKey, PlainHttpAnswer, ServerConfig, TlsAcceptor, TlsStream};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

pub(crate) use self::arguments::CaptureArguments;
use self::file::Output;
use self::record::{Outcome, Record};
use crate::console;
use crate::describe::Facts;
use crate::failure::Failure;
use crate::serve::development_ca::DevelopmentCa;
use crate::serve::http::{Request, Response, Status, read_request};
use crate::serve::{ACCEPT_PAUSE, StopSignal, quoted};
use crate::setup;

/// How long a client may take to close after us, so that our last bytes arrive.
const CLOSE_LIMIT: Duration = Duration::from_secs(2);

/// What all connections share.
struct Capture {
    acceptor: TlsAcceptor,
    output: Mutex<Output>,
    raw: bool,
    /// Told when the output fails, which ends the command.
    failed: mpsc::Sender<io::Error>,
}

pub(crate) async fn run(arguments: CaptureArguments) -> Result<(), Failure> {
    let mut stop =
        StopSignal::new().map_err(|error| Failure::new(format!("cannot wait for signals: {error}")))?;
    let listen = &arguments.listen;
    let listener = TcpListener::bind(listen)
        .await
        .and_then(|listener| Ok((listener.local_addr()?, listener)));
    let (address, listener) =
        listener.map_err(|error| Failure::new(format!("cannot listen on {listen}: {error}")))?;
    let output = match &arguments.out {
        Some(file) => Output::file(file, arguments.max_size, arguments.keep)
            .map_err(|error| Failure::new(format!("cannot write {}: {error}", file.display())))?,
        None => Output::stdout(),
    };
    let (certificate, ca) = match (&arguments.cert, &arguments.key) {
        (Some(cert), Some(key)) => {
            let certificate = CertifiedKey::from_pem(&setup::read_file(cert)?, &setup::read_file(key)?);
            let certificate = certificate.map_err(|error| {
                Failure::new(format!("{} with {}: {error}", cert.display(), key.display()))
            })?;
            (certificate, None)
        }
        _ => {
            let ca = DevelopmentCa::make(arguments.ca_out, address.ip(), address.port())?;
            (ca.leaf().clone(), Some(ca))
        }
    };
    let mut builder = arguments
        .protocol
        .server(ServerConfig::builder())
        .certificate(certificate)
        .alpn(["http/1.1", "http/1.0"]);
    if let Some(key_log) = setup::key_log()? {
        builder = builder.key_log(key_log);
    }
    let config = builder.build().map_err(|error| Failure::new(error.to_string()))?;
    let (failed, mut failure) = mpsc::channel(1);
    let capture = Arc::new(Capture {
        acceptor: TlsAcceptor::new(config).handshake_timeout(arguments.timeout.0),
        output: Mutex::new(output),
        raw: arguments.raw,
        failed,
    });

    // On stderr: stdout may be the capture.
    console::say(format_args!("listening on {address}"));
    if let Some(ca) = &ca {
        let (ca, port) = (quoted(ca.file()), address.port());
        console::say(format_args!("curl --cacert {ca} https://localhost:{port}/"));
    }
    tokio::select! {
        never = accept(&listener, &capture) => match never {},
        Some(error) = failure.recv() => Err(Failure::new(format!("cannot write the capture: {error}"))),
        () = stop.received() => {
            console::say(format_args!("stopped"));
            Ok(())
        }
    }
}

/// Accepts for ever. Each connection has its own task.
async fn accept(listener: &TcpListener, capture: &Arc<Capture>) -> Infallible {
    loop {
        match listener.accept().await {
            Ok((tcp, client)) => {
                let capture = Arc::clone(capture);
                tokio::spawn(async move { Box::pin(capture.serve(tcp, client)).await });
            }
            Err(error) => {
                console::say(format_args!("cannot accept: {error}"));
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

impl Capture {
    /// Serves one client to the end. Its line is written as soon as its handshake has ended.
    async fn serve(&self, tcp: TcpStream, client: SocketAddr) {
        let time = SystemTime::now();
        // Only a matter of latency.
        let _ = tcp.set_nodelay(true);
        let failure = match self.acceptor.read_client_hello(tcp).await {
            Ok(pending) => {
                let hello = pending.client_hello().clone();
                match pending.accept(self.acceptor.config()).await {
                    Ok(mut stream) => {
                        let info = stream.info();
                        let record = Record {
                            time,
                            client,
                            hello: Some(&hello),
                            raw: self.raw,
                            outcome: Outcome::Negotiated(Facts::on_server(&info, info.handshake_time())),
                        };
                        self.write(&record).await;
                        // Whoever asks for nothing, or breaks off, was recorded all the same.
                        let _ = answer(&mut stream, &record).await;
                        stream.graceful_shutdown(CLOSE_LIMIT).await;
                        return;
                    }
                    Err(failure) => failure,
                }
            }
            Err(failure) => failure,
        };
        self.write(&Record {
            time,
            client,
            hello: failure.client_hello(),
            raw: self.raw,
            outcome: Outcome::Failed(failure.error()),
        })
        .await;
        // Of other failures nothing is left to say.
        let _ = failure.answer_plain_http(PlainHttpAnswer::BadRequest).await;
    }

    async fn write(&self, record: &Record<'_>) {
        let line = record.line();
        // Held for one write, and across no await.
        let written = self
            .output
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .write_line(&line);
        if let Err(error) = written {
            let _ = self.failed.send(error).await;
        }
    }
}

/// Shows the client what is known of it.
async fn answer(stream: &mut TlsStream<TcpStream>, record: &Record<'_>) -> io::Result<()> {
    let (response, head_only) = match read_request(stream).await? {
        Request::Complete { method, .. } if method == "GET" || method == "HEAD" => {
            let response = Response {
                status: Status::OK,
                content_type: "application/json",
                body: record.page(),
            };
            (response, method == "HEAD")
        }
        Request::Complete { .. } => {
            let what = "Only GET and HEAD are answered here.";
            (Response::text(Status::METHOD_NOT_ALLOWED, what), false)
        }
        Request::Bad(status) => (Response::text(status, status.1), false),
        Request::None => return Ok(()),
    };
    response.send(stream, head_only).await
}
