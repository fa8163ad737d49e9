//! On Tokio: streams, deadlines, hooks.

use std::future::pending;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicUsize};

use tls_core::{Answer, ErrorKind, HandshakeType, HookError, Misbehaviour, Phase, ReplayGuard};
use tls_tokio::{Error, TlsAcceptor, TlsConnector, TlsStream};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::time::Instant;

use super::*;

/// A client and a server that know each other.
async fn met(client: ClientConfigBuilder, server: ServerConfigBuilder) -> (TlsConnector, TlsAcceptor) {
    let connector = TlsConnector::new(client.build().unwrap());
    let acceptor = TlsAcceptor::new(server.build().unwrap());
    meet_again(&connector, &acceptor).await;
    (connector, acceptor)
}

/// Makes a connection that leaves new sessions behind.
async fn meet_again(connector: &TlsConnector, acceptor: &TlsAcceptor) {
    let (ours, theirs) = duplex(64 * 1024);
    let (client, server) = tokio::join!(connector.connect(name(NAME), ours), acceptor.accept(theirs));
    let (mut client, mut server) = (client.unwrap(), server.unwrap());
    server.write_all(b"x").await.unwrap();
    client.read_exact(&mut [0]).await.unwrap();
}

async fn exchange(client: &mut TlsStream<DuplexStream>, server: &mut TlsStream<DuplexStream>) {
    for _ in 0..2 {
        client.write_all(b"to the server").await.unwrap();
        server.read_exact(&mut [0; 13]).await.unwrap();
        server.write_all(b"to the client").await.unwrap();
        client.read_exact(&mut [0; 13]).await.unwrap();
    }
    assert_eq!(client.info().early_data(), server.info().early_data());
}

#[tokio::test]
async fn early_data_is_answered_before_the_handshake_is_over() {
    let (connector, acceptor) = met(client(), server()).await;
    let (ours, theirs) = duplex(64 * 1024);
    let client = async {
        let (mut tls, rest) = connector
            .connect_early(name(NAME), ours, b"question")
            .await
            .unwrap();
        assert!(rest.is_empty());
        let mut answer = [0; 6];
        tls.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"answer");
        tls
    };
    let server = async {
        let mut early = acceptor.accept_early(theirs).await.unwrap();
        assert_eq!(early.negotiated().early_data(), EarlyData::Accepted);
        let mut question = [0; 8];
        early.read_exact(&mut question).await.unwrap();
        assert_eq!(&question, b"question");
        early.write_all(b"answer").await.unwrap();
        early.flush().await.unwrap();
        // The end is only said by a client that has seen our flight.
        assert_eq!(early.read(&mut [0; 8]).await.unwrap(), 0);
        early.finish().await.unwrap()
    };
    let (mut client, mut server) = tokio::join!(client, server);
    exchange(&mut client, &mut server).await;
    let [mut ours, mut theirs] = [[0; 16]; 2];
    client
        .export_early_keying_material(&mut ours, b"EXPORTER-x", None)
        .unwrap();
    server
        .export_early_keying_material(&mut theirs, b"EXPORTER-x", None)
        .unwrap();
    assert_eq!(ours, theirs);
}

#[tokio::test]
async fn what_the_server_did_not_see_is_handed_back() {
    let (connector, acceptor) = met(client(), server()).await;
    // (bytes, whether the server takes early data, bytes handed back)
    for (length, takes, back) in [
        (10, true, 0),
        (1500, true, 500),
        (10, false, 10),
        (1500, false, 1500),
    ] {
        let data: Vec<u8> = (0..length).map(|i| i as u8).collect();
        let (ours, theirs) = duplex(64 * 1024);
        let client = async {
            let (mut tls, rest) = connector.connect_early(name(NAME), ours, &data).await.unwrap();
            assert_eq!(rest, &data[length - back..]);
            tls.write_all(rest).await.unwrap();
            tls
        };
        let server = async {
            let mut tls = if takes {
                acceptor
                    .accept_early(theirs)
                    .await
                    .unwrap()
                    .finish()
                    .await
                    .unwrap()
            } else {
                acceptor.accept(theirs).await.unwrap()
            };
            let mut all = vec![0; length];
            tls.read_exact(&mut all).await.unwrap();
            assert_eq!(all, data, "nothing is lost or comes twice");
            tls
        };
        let (mut client, mut server) = tokio::join!(client, server);
        assert!(client.info().is_resumed());
        exchange(&mut client, &mut server).await;
    }
}

#[tokio::test]
async fn both_sides_can_write_more_than_the_transport_takes_before_the_other_reads() {
    let limit = 300_000;
    let (connector, acceptor) = met(client(), server().max_early_data(limit)).await;
    for capacity in [50, 1000, 20_000] {
        let (ours, theirs) = duplex(capacity);
        let data = vec![5; limit as usize];
        let client = async {
            let (mut tls, rest) = connector.connect_early(name(NAME), ours, &data).await.unwrap();
            let (mut read, mut write) = tokio::io::split(&mut tls);
            let mut answer = vec![0; 200_000];
            let (written, answered) = tokio::join!(
                async {
                    write.write_all(rest).await?;
                    write.flush().await
                },
                read.read_exact(&mut answer)
            );
            written.unwrap();
            answered.unwrap();
            assert!(answer.iter().all(|byte| *byte == 6));
            tls
        };
        let server = async {
            let mut early = acceptor.accept_early(theirs).await.unwrap();
            // It does not read before it has written all.
            early.write_all(&vec![6; 200_000]).await.unwrap();
            early.flush().await.unwrap();
            let mut all = Vec::new();
            early.read_to_end(&mut all).await.unwrap();
            let mut tls = early.finish().await.unwrap();
            let mut rest = vec![0; data.len() - all.len()];
            tls.read_exact(&mut rest).await.unwrap();
            assert!(all.iter().chain(&rest).all(|byte| *byte == 5));
            tls
        };
        let (client, server) = tokio::join!(client, server);
        assert_eq!(client.info().early_data(), EarlyData::Accepted, "{capacity}");
        meet_again(&connector, &acceptor).await;
        drop(server);
    }
}

#[tokio::test(start_paused = true)]
async fn the_deadline_covers_early_data_too() {
    let (connector, acceptor) = met(client(), server()).await;
    let limit = Duration::from_secs(3);
    let acceptor = acceptor.handshake_timeout(Some(limit));
    // The caller reads, or finishes; the client has gone silent in both.
    for reads in [true, false] {
        meet_again(&connector, &acceptor).await;
        let (mut ours, theirs) = duplex(64 * 1024);
        let (_, flight) = early_client_of(&connector, b"early");
        ours.write_all(&flight).await.unwrap();
        let started = Instant::now();
        let mut early = acceptor.accept_early(theirs).await.unwrap();
        early.read_exact(&mut [0; 5]).await.unwrap();
        if reads {
            let error = early.read(&mut [0; 5]).await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::TimedOut, "{error}");
            assert!(error.to_string().contains("EndOfEarlyData"), "{error}");
            assert_eq!(started.elapsed(), limit);
            let error = early.write(b"too late").await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::TimedOut, "{error}");
        }
        let (error, _) = early.finish().await.unwrap_err().into_parts();
        let Error::Timeout(timeout) = error else {
            panic!("{error}")
        };
        assert_eq!(timeout.phase, Phase::Reading(HandshakeType::END_OF_EARLY_DATA));
        assert_eq!(timeout.bytes_in, flight.len() as u64);
        assert_eq!(started.elapsed(), limit);
    }
}

/// The first flight of the connector's next handshake.
fn early_client_of(connector: &TlsConnector, data: &[u8]) -> (Driver, Vec<u8>) {
    early_client(connector.config(), data)
}

#[tokio::test]
async fn bad_early_data_gets_its_alert_however_it_is_met() {
    let (connector, acceptor) = met(client(), server()).await;
    for reads in [true, false] {
        meet_again(&connector, &acceptor).await;
        let (mut ours, theirs) = duplex(64 * 1024);
        let (mut driver, mut flight) = early_client_of(&connector, b"early");
        *flight.last_mut().unwrap() ^= 1;
        ours.write_all(&flight).await.unwrap();
        let mut early = acceptor.accept_early(theirs).await.unwrap();
        if reads {
            let error = early.read(&mut [0; 5]).await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{error}");
        }
        let server = tokio::spawn(early.finish());
        let mut answer = Vec::new();
        ours.read_to_end(&mut answer).await.unwrap();
        driver.receive(&answer);
        assert_eq!(driver.advance().unwrap(), Progress::Done);
        let mut connection = driver.into_connection().unwrap();
        let error = connection.reader.process().unwrap_err();
        let alert = tls_core::AlertDescription::BAD_RECORD_MAC;
        assert!(
            matches!(error.kind(), ErrorKind::AlertReceived(got) if *got == alert),
            "{error}"
        );
        drop(ours);
        let error = server.await.unwrap().unwrap_err().into_error();
        let Error::Tls(error) = error else {
            panic!("{error}")
        };
        assert!(
            matches!(error.kind(), ErrorKind::Misbehaved(Misbehaviour::BadRecordMac)),
            "{error}"
        );
    }
}

/// How a guard answers.
#[derive(Clone, Copy, Debug, PartialEq)]
enum How {
    LaterYes,
    LaterNo,
    Fail,
    FailLater,
    Never,
}

#[derive(Debug)]
struct Guard {
    how: How,
    asked: AtomicUsize,
    dropped: AtomicBool,
}

struct SeesDrop<'a>(&'a AtomicBool);

impl Drop for SeesDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}

impl ReplayGuard for Guard {
    fn is_first_use<'a>(
        &'a self,
        _: &'a [u8; 32],
        window: Duration,
        _: &'a ConnectionContext,
    ) -> Answer<'a, Result<bool, HookError>> {
        self.asked.fetch_add(1, Relaxed);
        assert!(window > Duration::from_secs(20));
        if self.how == How::Fail {
            return Answer::Now(Err(HookError::from("no")));
        }
        Answer::later(async move {
            let _guard = SeesDrop(&self.dropped);
            tokio::time::sleep(Duration::from_secs(1)).await;
            match self.how {
                How::LaterYes => Ok(true),
                How::LaterNo => Ok(false),
                How::Never => pending().await,
                _ => Err(HookError::from("no")),
            }
        })
    }
}

#[tokio::test(start_paused = true)]
async fn a_replay_guard_may_answer_late_fail_or_never_answer() {
    for how in [How::LaterYes, How::LaterNo, How::Fail, How::FailLater, How::Never] {
        let guard = Arc::new(Guard {
            how,
            asked: AtomicUsize::new(0),
            dropped: AtomicBool::new(false),
        });
        let (connector, acceptor) = met(client(), server().replay_guard(guard.clone())).await;
        assert_eq!(guard.asked.load(Relaxed), 0, "nobody sent early data");
        let (ours, theirs) = duplex(64 * 1024);
        let (client, server) = tokio::join!(connector.connect_early(name(NAME), ours, b"early"), async {
            match acceptor.accept_early(theirs).await {
                Ok(early) => early.finish().await,
                Err(failure) => Err(failure),
            }
        });
        assert_eq!(guard.asked.load(Relaxed), 1);
        assert_eq!(guard.dropped.load(Relaxed), how != How::Fail);
        if how == How::Never {
            let Error::Timeout(timeout) = server.unwrap_err().into_error() else {
                panic!("a timeout")
            };
            assert_eq!(timeout.phase, Phase::Hook("ReplayGuard"));
            client.unwrap_err();
            continue;
        }
        let ((mut client, rest), mut server) = (client.unwrap(), server.unwrap());
        assert!(client.info().is_resumed(), "{how:?}");
        assert_eq!(rest.is_empty(), how == How::LaterYes);
        if how == How::LaterYes {
            server.read_exact(&mut [0; 5]).await.unwrap();
        }
        exchange(&mut client, &mut server).await;
    }
}

#[tokio::test]
async fn of_many_servers_at_once_one_accepts_a_first_flight() {
    let (connector, acceptor) = met(client(), server()).await;
    let (_, flight) = early_client_of(&connector, b"once");
    let accepted = Arc::new(AtomicUsize::new(0));
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..200 {
        let (acceptor, flight, accepted) = (acceptor.clone(), flight.clone(), accepted.clone());
        tasks.spawn(async move {
            let (mut ours, theirs) = duplex(64 * 1024);
            ours.write_all(&flight).await.unwrap();
            let early = acceptor.accept_early(theirs).await.unwrap();
            if early.negotiated().early_data() == EarlyData::Accepted {
                accepted.fetch_add(1, Relaxed);
            }
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
    assert_eq!(accepted.load(Relaxed), 1);
}

#[tokio::test]
async fn a_server_that_is_dropped_half_way_closes_the_transport() {
    let (connector, acceptor) = met(client(), server()).await;
    let (ours, theirs) = duplex(64 * 1024);
    let server = async {
        drop(acceptor.accept_early(theirs).await.unwrap());
    };
    let (client, ()) = tokio::join!(connector.connect_early(name(NAME), ours, b"early"), server);
    // The client's handshake is over with the server's flight; or its last write failed.
    if let Ok((mut tls, rest)) = client {
        assert!(rest.is_empty());
        let error = tls.read(&mut [0; 1]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof, "{error}");
    }
}
