//! gRPC with tonic where both sides show a certificate (mutual TLS): a server, and a client that calls it.
//!
//! ```sh
//! cargo run -p tls-hyper --example tonic_mtls -- server 127.0.0.1:50051 server.pem server-key.pem ca.pem
//! cargo run -p tls-hyper --example tonic_mtls -- client https://localhost:50051 alice.pem alice-key.pem ca.pem
//! ```
//!
//! What tonic's generator makes of a `.proto` file is written by hand here, with text as messages: the example needs no
//! `protoc`. With generated code, `Greeter` is `GreeterServer::new(...)`, and the client `GreeterClient::new(channel)`.

use std::convert::Infallible;
use std::error::Error;
use std::future::{Future, pending};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf as _, BufMut as _};
use tls_hyper::{
    CertifiedKey, ClientConfig, HttpsConnector, RootStore, ServerConfig, TlsAcceptor, TlsConnectInfo,
    TlsListener,
};
use tokio::net::TcpListener;
use tokio_stream::{Stream, StreamExt as _};
use tonic::body::Body;
use tonic::client::Grpc as Calls;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::codegen::http::uri::PathAndQuery;
use tonic::server::{Grpc, NamedService};
use tonic::transport::{Channel, Endpoint, Server};
use tonic::{Request, Response, Status, Streaming};
use tower::service_fn;
use tower_service::Service;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [role, address, chain, key, ca] = arguments.as_slice() else {
        return Err("usage: tonic_mtls server|client ADDRESS CHAIN.pem KEY.pem CA.pem".into());
    };
    let key = CertifiedKey::from_pem(&std::fs::read(chain)?, &std::fs::read(key)?)?;
    let roots = RootStore::from_pem(&std::fs::read(ca)?)?;
    if role == "server" {
        let tcp = TcpListener::bind(address).await?;
        println!("https://{}", tcp.local_addr()?);
        let stop = async { drop(tokio::signal::ctrl_c().await) };
        Box::pin(serve(tcp, key, roots, stop)).await
    } else {
        let mut greeter = Client::connect(address.clone(), key, roots).await?;
        println!("{}", greeter.greet("the example").await?);
        let mut numbers = greeter.count("3").await?;
        while let Some(number) = numbers.message().await? {
            println!("{number}");
        }
        let words = tokio_stream::iter(["one".to_owned(), "two".to_owned()]);
        let mut echoes = greeter.echo(words).await?;
        while let Some(echo) = echoes.message().await? {
            println!("{echo}");
        }
        Ok(())
    }
}

/// Serves those whose certificate is of these roots, until the signal comes; then calls under way get 10 seconds.
pub(crate) async fn serve(
    tcp: TcpListener,
    key: CertifiedKey,
    clients: RootStore,
    stop: impl Future<Output = ()> + Send + 'static,
) -> Result<(), Box<dyn Error>> {
    let config = ServerConfig::builder()
        .certificate(key)
        .client_roots(clients)
        .alpn(["h2"])
        .build()?;
    let listener = TlsListener::new(tcp, TlsAcceptor::new(config));
    let handle = listener.handle();
    tokio::spawn(async move {
        stop.await;
        handle.drain(Duration::from_secs(10)).await;
    });
    // It ends when the listener has: a signal would have it drop handshakes under way.
    let serving = Server::builder()
        .add_service(Greeter)
        .serve_with_incoming_shutdown(tls_hyper::incoming(listener), pending());
    // In a box: it is large.
    Ok(Box::pin(serving).await?)
}

/// One of each kind of call.
#[derive(Clone)]
struct Greeter;

/// Whose call it is, by the certificate.
fn caller<T>(request: &Request<T>) -> Result<String, Status> {
    let client: Option<&TlsConnectInfo> = request.extensions().get();
    let name = client
        .and_then(|client| client.peer_names())
        .and_then(|names| names.dns_names.into_iter().next());
    name.ok_or_else(|| Status::unauthenticated("the certificate has no name"))
}

async fn greet(request: Request<String>) -> Result<Response<String>, Status> {
    let name = caller(&request)?;
    Ok(Response::new(format!("Hello, {name}: {}", request.into_inner())))
}

type Texts = Pin<Box<dyn Stream<Item = Result<String, Status>> + Send>>;

async fn count(request: Request<String>) -> Result<Response<Texts>, Status> {
    let end: u64 = request
        .into_inner()
        .parse()
        .map_err(|_| Status::invalid_argument("no number"))?;
    let numbers = tokio_stream::iter(1..=end).map(|number| Ok(number.to_string()));
    Ok(Response::new(Box::pin(numbers)))
}

async fn echo(request: Request<Streaming<String>>) -> Result<Response<Texts>, Status> {
    let name = caller(&request)?;
    let echoes = request
        .into_inner()
        .map(move |text| Ok(format!("{name}: {}", text?)));
    Ok(Response::new(Box::pin(echoes)))
}

impl NamedService for Greeter {
    const NAME: &'static str = "example.Greeter";
}

impl Service<http::Request<Body>> for Greeter {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        Box::pin(async move {
            let mut grpc = Grpc::new(Text);
            Ok(match request.uri().path() {
                "/example.Greeter/Greet" => grpc.unary(service_fn(greet), request).await,
                "/example.Greeter/Count" => grpc.server_streaming(service_fn(count), request).await,
                "/example.Greeter/Echo" => grpc.streaming(service_fn(echo), request).await,
                _ => Status::unimplemented("no such call").into_http(),
            })
        })
    }
}

/// Calls a [`Greeter`].
pub(crate) struct Client(Calls<Channel>);

impl Client {
    /// Connects with a certificate.
    pub(crate) async fn connect(
        url: String,
        key: CertifiedKey,
        roots: RootStore,
    ) -> Result<Self, Box<dyn Error>> {
        let config = ClientConfig::builder().roots(roots).certificate(key).build()?;
        // gRPC is HTTP/2 and nothing else.
        let connector = HttpsConnector::builder()
            .with_tls_config(config)
            .enable_http2()
            .build()?;
        let channel = Endpoint::from_shared(url)?
            .connect_with_connector(connector)
            .await?;
        Ok(Self(Calls::new(channel)))
    }

    async fn ready(&mut self) -> Result<(), Status> {
        let ready = self.0.ready().await;
        ready.map_err(|error| Status::unavailable(error.to_string()))
    }

    /// One question, one answer.
    pub(crate) async fn greet(&mut self, text: &str) -> Result<String, Status> {
        self.ready().await?;
        let path = PathAndQuery::from_static("/example.Greeter/Greet");
        let response = self.0.unary(Request::new(text.to_owned()), path, Text).await?;
        Ok(response.into_inner())
    }

    /// One question, many answers.
    pub(crate) async fn count(&mut self, end: &str) -> Result<Streaming<String>, Status> {
        self.ready().await?;
        let path = PathAndQuery::from_static("/example.Greeter/Count");
        let request = Request::new(end.to_owned());
        let response = self.0.server_streaming(request, path, Text).await?;
        Ok(response.into_inner())
    }

    /// Many of both.
    pub(crate) async fn echo(
        &mut self,
        texts: impl Stream<Item = String> + Send + 'static,
    ) -> Result<Streaming<String>, Status> {
        self.ready().await?;
        let path = PathAndQuery::from_static("/example.Greeter/Echo");
        let response = self.0.streaming(Request::new(texts), path, Text).await?;
        Ok(response.into_inner())
    }
}

/// Messages that are text, and no protobuf.
#[derive(Clone, Copy, Default)]
struct Text;

impl Codec for Text {
    type Encode = String;
    type Decode = String;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Text {
    type Item = String;
    type Error = Status;

    fn encode(&mut self, text: String, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put_slice(text.as_bytes());
        Ok(())
    }
}

impl Decoder for Text {
    type Item = String;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<String>, Status> {
        let bytes = buffer.copy_to_bytes(buffer.remaining());
        let text = String::from_utf8(bytes.to_vec());
        text.map(Some).map_err(|_| Status::invalid_argument("no text"))
    }
}
