//! What the observer of a listener is told.

use std::future::pending;
use std::sync::Arc;

use tls_tests::both_versions;
use tls_tokio::TlsListener;
use tokio::net::{TcpListener, TcpStream};

use super::observer::Notes;
use super::*;

both_versions!(
    real async
    a_listener_tells_its_own_observer,
);

async fn a_listener_tells_its_own_observer(version: ProtocolVersion) {
    let (notes, of_acceptor) = (Arc::new(Notes::default()), Arc::new(Notes::default()));
    let acceptor = sides::acceptor().observer(of_acceptor.clone());
    let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = tcp.local_addr().unwrap();
    let mut listener = TlsListener::new(tcp, acceptor).observer(notes.clone());
    let client = async {
        let tcp = TcpStream::connect(address).await.unwrap();
        let from = tcp.local_addr().unwrap();
        (
            sides::connector(version)
                .connect(server_name(), tcp)
                .await
                .unwrap(),
            from,
        )
    };
    let (accepted, (client, from)) = tokio::join!(listener.accept(), client);
    drop((accepted, client));
    let lines = notes.take();
    assert_eq!(lines[0], format!("server started: nobody {from}"));
    assert_eq!(
        lines[lines.len() - 2],
        format!("finished: localhost {version} false")
    );
    assert_eq!(
        lines[lines.len() - 1],
        format!("ended: localhost {version} dropped_open")
    );
    assert_eq!(of_acceptor.take(), Vec::<String>::new());
}

#[tokio::test]
async fn a_listener_that_stops_tells_of_the_handshakes_it_gives_up() {
    let notes = Arc::new(Notes::default());
    let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = tcp.local_addr().unwrap();
    let mut listener = TlsListener::new(tcp, sides::acceptor()).observer(notes.clone());
    let handle = listener.handle();
    let mut tcp = TcpStream::connect(address).await.unwrap();
    // The beginning of a record, so that the handshake begins.
    tcp.write_all(&[22]).await.unwrap();
    let ending = async {
        while handle.counts().handshaking == 0 {
            tokio::task::yield_now().await;
        }
        handle.drain(Duration::ZERO).await;
    };
    tokio::select! {
        () = async { while listener.accept().await.is_some() {} pending().await } => {}
        () = ending => {}
    }
    let lines = notes.take();
    let last = lines.last().unwrap();
    assert!(
        last.starts_with("stopped: nobody (Some(internal_error), None) false"),
        "{lines:?}"
    );
}
