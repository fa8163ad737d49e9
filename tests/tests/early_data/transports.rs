//! Transports that take little, stop taking, or are read and written by two tasks.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tls_tokio::{TlsAcceptor, TlsConnector};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf, duplex};
use tokio::time::timeout;

use super::*;

/// A client and a server that know each other.
fn met(client: ClientConfigBuilder, server: ServerConfigBuilder) -> (TlsConnector, TlsAcceptor) {
    let connector = TlsConnector::new(client.build().unwrap());
    let acceptor = TlsAcceptor::new(server.build().unwrap());
    meet(connector.config(), acceptor.config());
    (connector, acceptor)
}

/// Takes so many bytes, is full once, then takes all. It never has anything to read.
struct Stalls {
    left: usize,
    stalled: bool,
    written: Arc<AtomicU64>,
}

impl AsyncRead for Stalls {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, _: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Poll::Pending
    }
}

impl AsyncWrite for Stalls {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        if self.left == 0 {
            if !self.stalled {
                self.stalled = true;
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            self.left = usize::MAX;
        }
        let n = buf.len().min(self.left);
        self.left -= n;
        self.written.fetch_add(n as u64, Relaxed);
        Poll::Ready(Ok(n))
    }
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[tokio::test(start_paused = true)]
async fn a_transport_that_was_full_once_takes_all_early_data_before_the_answer() {
    let (connector, _acceptor) = met(client(), server().max_early_data(400_000));
    let written = Arc::new(AtomicU64::new(0));
    let io = Stalls {
        left: 3000,
        stalled: false,
        written: written.clone(),
    };
    let data = vec![5; 300_000];
    let _ = timeout(
        Duration::from_secs(2),
        connector.connect_early(name(NAME), io, &data),
    )
    .await;
    assert!(
        written.load(Relaxed) > 300_000,
        "only {} bytes were sent",
        written.load(Relaxed)
    );
}

#[tokio::test(start_paused = true)]
async fn a_reader_in_another_task_does_not_make_the_writer_hang() {
    let (connector, acceptor) = met(client(), server());
    let acceptor = acceptor.handshake_timeout(None);
    let (mut ours, theirs) = duplex(4000);
    let (_, flight) = early_client(connector.config(), b"early");
    ours.write_all(&flight).await.unwrap();
    let early = acceptor.accept_early(theirs).await.unwrap();
    let (mut read, mut write) = tokio::io::split(early);
    let writer = tokio::spawn(async move {
        write.write_all(&vec![6; 200_000]).await.unwrap();
        write.flush().await.unwrap();
    });
    tokio::task::yield_now().await;
    let reader = tokio::spawn(async move {
        let mut all = Vec::new();
        let _ = read.read_to_end(&mut all).await;
    });
    tokio::task::yield_now().await;
    tokio::task::yield_now().await;
    let mut got = 0;
    let mut buf = vec![0; 5000];
    while let Ok(Ok(n)) = timeout(Duration::from_secs(60), ours.read(&mut buf)).await {
        got += n;
        if got >= 200_000 {
            break;
        }
    }
    reader.abort();
    assert!(got >= 200_000, "only {got} bytes came");
    writer.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_read_before_it_has_written_all_is_served() {
    for takes in [false, true] {
        let (connector, acceptor) = met(client(), server());
        let (mut ours, theirs) = duplex(200);
        let (mut driver, flight) = early_client(connector.config(), &[1; 1000]);
        let server = tokio::spawn(async move {
            if takes {
                let early = acceptor.accept_early(theirs).await.map_err(|e| e.into_error())?;
                early.finish().await.map_err(|e| e.into_error())
            } else {
                acceptor.accept(theirs).await.map_err(|e| e.into_error())
            }
        });
        let written = ours.write_all(&flight).await;
        if written.is_err() {
            panic!("takes {takes}: {}", server.await.unwrap().unwrap_err());
        }
        let mut buf = vec![0; 5000];
        loop {
            let n = ours.read(&mut buf).await.unwrap();
            driver.receive(&buf[..n]);
            if driver.advance().unwrap() == Progress::Done {
                break;
            }
        }
        ours.write_all(&driver.transmit()).await.unwrap();
        server.await.unwrap().unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_flushed_before_a_split_arrives() {
    let (connector, acceptor) = met(client(), server().max_early_data(100_000));
    let (ours, theirs) = duplex(2000);
    let data = vec![3; 50_000];
    let client = async {
        let (mut tls, rest) = connector.connect_early(name(NAME), ours, &data).await.unwrap();
        tls.write_all(rest).await.unwrap();
        tls.flush().await.unwrap();
        let (mut read, write) = tls.into_split();
        let mut answer = [0; 6];
        let r = timeout(Duration::from_secs(5), read.read_exact(&mut answer)).await;
        drop(write);
        r
    };
    let server = async {
        let mut early = acceptor.accept_early(theirs).await.unwrap();
        let mut all = Vec::new();
        early.read_to_end(&mut all).await.unwrap();
        early.write_all(b"answer").await.unwrap();
        early.flush().await.unwrap();
        early.finish().await.map_err(|e| e.to_string())
    };
    let (client, server) = tokio::join!(client, server);
    server.unwrap();
    client.expect("an answer").unwrap();
}

#[tokio::test(start_paused = true)]
async fn the_deadline_ends_reading_and_writing_in_two_tasks() {
    let (connector, acceptor) = met(client(), server());
    let acceptor = acceptor.handshake_timeout(Some(Duration::from_secs(3)));
    let (mut ours, theirs) = duplex(4000);
    let (_, flight) = early_client(connector.config(), b"early");
    ours.write_all(&flight).await.unwrap();
    let early = acceptor.accept_early(theirs).await.unwrap();
    let (mut read, mut write) = tokio::io::split(early);
    let reader = tokio::spawn(async move {
        let mut all = Vec::new();
        read.read_to_end(&mut all).await
    });
    tokio::task::yield_now().await;
    let writer = tokio::spawn(async move { write.write_all(&vec![6; 200_000]).await });
    let written = timeout(Duration::from_secs(60), writer).await;
    let read = timeout(Duration::from_secs(60), reader).await;
    for ended in [
        written.expect("the writer is woken").unwrap().unwrap_err(),
        read.expect("the reader is woken").unwrap().unwrap_err(),
    ] {
        assert_eq!(ended.kind(), io::ErrorKind::TimedOut, "{ended}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_alert_of_the_server_is_seen_though_early_data_cannot_be_written() {
    let (connector, _acceptor) = met(client(), server().max_early_data(400_000));
    let (ours, mut theirs) = duplex(4000);
    let server = tokio::spawn(async move {
        theirs.read_exact(&mut [0; 1000]).await.unwrap();
        theirs.write_all(&[21, 3, 3, 0, 2, 2, 40]).await.unwrap();
    });
    let data = vec![5; 300_000];
    let error = connector
        .connect_early(name(NAME), ours, &data)
        .await
        .unwrap_err()
        .into_error();
    server.await.unwrap();
    assert!(error.to_string().contains("alert"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_closes_its_side_at_once_gets_all_answers() {
    let (connector, acceptor) = met(client(), server());
    let (ours, theirs) = duplex(64 * 1024);
    let client = async {
        let (mut tls, rest) = connector.connect_early(name(NAME), ours, b"q").await.unwrap();
        assert!(rest.is_empty());
        tls.shutdown().await.unwrap();
        let mut all = Vec::new();
        tls.read_to_end(&mut all).await.unwrap();
        all
    };
    let server = async {
        let mut early = acceptor.accept_early(theirs).await.unwrap();
        let mut all = Vec::new();
        early.read_to_end(&mut all).await.unwrap();
        early.write_all(b"early").await.unwrap();
        let mut tls = early.finish().await.unwrap();
        tls.read_to_end(&mut all).await.unwrap();
        tls.write_all(b"late").await.unwrap();
        tls.shutdown().await.unwrap();
        all
    };
    let (c, s) = tokio::join!(client, server);
    assert_eq!((&c[..], &s[..]), (&b"earlylate"[..], &b"q"[..]));
}
