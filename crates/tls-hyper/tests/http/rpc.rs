//! tonic over mutual TLS, by the example's server and client.

use std::net::SocketAddr;

use tls_hyper::{CertifiedKey, RootStore};
use tls_tests::pki::{KeyType, Leaf};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::timeout;
use tokio_stream::StreamExt as _;
use tonic::Code;

use crate::support::{PATIENCE, World, certified};

#[path = "../../examples/tonic_mtls.rs"]
#[allow(dead_code, reason = "its main function is not ours to call")]
pub(crate) mod tonic_mtls;

use tonic_mtls::Client;

struct Greeter {
    world: World,
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    ended: JoinHandle<()>,
}

impl Greeter {
    async fn start() -> Self {
        let world = World::new();
        let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = tcp.local_addr().unwrap();
        let (key, roots) = (certified(&world.server), world.roots());
        let (stop, stopped) = oneshot::channel();
        let stopped = async { drop(stopped.await) };
        let ended = tokio::spawn(async move {
            tonic_mtls::serve(tcp, key, roots, stopped).await.unwrap();
        });
        Self {
            world,
            address,
            stop,
            ended,
        }
    }

    fn key(&self, name: &str) -> CertifiedKey {
        let leaf = Leaf::new(KeyType::P256, &[name]).client();
        certified(&self.world.authority.issue(&leaf))
    }

    async fn client(&self, key: CertifiedKey, roots: RootStore) -> Client {
        let url = format!("https://{}", self.address);
        Client::connect(url, key, roots).await.unwrap()
    }
}

#[tokio::test]
async fn single_calls_and_streams_work_and_the_server_knows_who_calls() {
    let server = Greeter::start().await;
    let mut alice = server
        .client(server.key("alice.example"), server.world.roots())
        .await;
    assert_eq!(alice.greet("one").await.unwrap(), "Hello, alice.example: one");
    let mut bob = server
        .client(server.key("bob.example"), server.world.roots())
        .await;
    assert_eq!(bob.greet("two").await.unwrap(), "Hello, bob.example: two");

    let mut numbers = alice.count("5000").await.unwrap();
    for number in 1..=5000 {
        let counted = timeout(PATIENCE, numbers.message()).await.unwrap().unwrap();
        assert_eq!(counted.unwrap(), number.to_string());
    }
    assert_eq!(numbers.message().await.unwrap(), None);
    assert_eq!(
        alice.count("many").await.unwrap_err().code(),
        Code::InvalidArgument
    );

    // One word is sent when the last one came back: both directions are open at once.
    let (next, words) = tokio::sync::mpsc::unbounded_channel();
    let words = tokio_stream::wrappers::UnboundedReceiverStream::new(words);
    next.send("word 0".to_owned()).unwrap();
    let mut echoes = bob.echo(words).await.unwrap();
    for word in 0..100 {
        let echo = timeout(PATIENCE, echoes.next()).await.unwrap().unwrap().unwrap();
        assert_eq!(echo, format!("bob.example: word {word}"));
        next.send(format!("word {}", word + 1)).unwrap();
    }
}

#[tokio::test]
async fn a_thousand_calls_at_once_succeed() {
    let server = Greeter::start().await;
    let mut calls = JoinSet::new();
    for client in 0..5 {
        let mut greeter = server
            .client(
                server.key(&format!("client{client}.example")),
                server.world.roots(),
            )
            .await;
        calls.spawn(async move {
            for call in 0..200 {
                let said = greeter.greet(&"x".repeat(call * 100)).await.unwrap();
                assert_eq!(said.len(), "Hello, client0.example: ".len() + call * 100);
            }
        });
    }
    while let Some(ended) = calls.join_next().await {
        ended.unwrap();
    }
}

#[tokio::test]
async fn strangers_are_refused_on_either_side() {
    let server = Greeter::start().await;
    let strangers = World::new();
    let url = format!("https://{}", server.address);
    let refused = Client::connect(url.clone(), server.key("alice.example"), strangers.roots()).await;
    assert!(refused.is_err(), "a server of another authority was trusted");
    // With TLS 1.3 a client learns with its first call that its certificate was refused.
    let leaf = Leaf::new(KeyType::P256, &["mallory.example"]).client();
    let key = certified(&strangers.authority.issue(&leaf));
    let refused = match Client::connect(url, key, server.world.roots()).await {
        Ok(mut mallory) => mallory.greet("me").await.is_err(),
        Err(_) => true,
    };
    assert!(refused);
    let mut alice = server
        .client(server.key("alice.example"), server.world.roots())
        .await;
    assert!(alice.greet("one").await.is_ok());
}

#[tokio::test]
async fn a_stream_under_way_ends_whole_when_the_server_stops() {
    let server = Greeter::start().await;
    let mut alice = server
        .client(server.key("alice.example"), server.world.roots())
        .await;
    let (next, words) = tokio::sync::mpsc::unbounded_channel();
    let words = tokio_stream::wrappers::UnboundedReceiverStream::new(words);
    next.send("before".to_owned()).unwrap();
    let mut echoes = alice.echo(words).await.unwrap();
    assert_eq!(echoes.next().await.unwrap().unwrap(), "alice.example: before");
    server.stop.send(()).unwrap();
    let gone = async { while tokio::net::TcpStream::connect(server.address).await.is_ok() {} };
    timeout(PATIENCE, gone).await.unwrap();
    next.send("after".to_owned()).unwrap();
    assert_eq!(echoes.next().await.unwrap().unwrap(), "alice.example: after");
    assert!(!server.ended.is_finished());
    drop(next);
    assert!(timeout(PATIENCE, echoes.next()).await.unwrap().is_none());
    drop((alice, echoes));
    timeout(PATIENCE, server.ended).await.unwrap().unwrap();
}
