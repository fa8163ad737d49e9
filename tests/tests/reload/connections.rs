//! Connections and sessions while files are replaced.

use std::fs;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tls_core::{
    Answer, CertificateDer, CertificateQuery, CertificateResolver, CertifiedKey, ClientConfig,
    ConnectionContext, HookError, ProtocolVersion, ServerConfig,
};
use tls_tests::both_versions;
use tls_tests::pair::{NAME, client, name};
use tls_tests::versions::Only;
use tls_tokio::{MemorySessionCache, ReloadingCertificates, TlsAcceptor, TlsConnector, TlsStream};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::time::{Instant, sleep};

use crate::{Files, Reports, an_interval, identity, served, small_client};

both_versions!(async connections_and_sessions_outlive_a_reload);

type Stream = TlsStream<DuplexStream>;

pub(crate) async fn handshake(
    client: &ClientConfig,
    server: &ServerConfig,
    limit: Duration,
) -> (Stream, Stream) {
    let (ours, theirs) = duplex(16 * 1024);
    let connector = TlsConnector::new(client.clone()).handshake_timeout(Some(limit));
    let acceptor = TlsAcceptor::new(server.clone()).handshake_timeout(Some(limit));
    let (client, server) = tokio::join!(connector.connect(name(NAME), ours), acceptor.accept(theirs));
    (client.unwrap(), server.unwrap())
}

/// With it come the tickets.
pub(crate) async fn greet((client, server): &mut (Stream, Stream)) {
    server.write_all(b"hello").await.unwrap();
    server.flush().await.unwrap();
    let mut hello = [0; 5];
    client.read_exact(&mut hello).await.unwrap();
    assert_eq!(&hello, b"hello");
}

async fn connections_and_sessions_outlive_a_reload(version: ProtocolVersion) {
    let files = Files::new(&identity());
    let (server, reports) = files.load().await;
    let cache = Arc::new(MemorySessionCache::new(10));
    let client = client().only(version).session_cache(cache).build().unwrap();
    let limit = Duration::from_secs(10);
    let mut before = handshake(&client, &server, limit).await;
    greet(&mut before).await;

    let next = identity();
    files.rename_over(&next);
    an_interval().await;
    assert_eq!(reports.take(), ["ok chain.pem"]);
    assert_eq!(served(&server, NAME), next.chain());

    greet(&mut before).await;
    let mut after = handshake(&client, &server, limit).await;
    greet(&mut after).await;
    assert!(after.0.info().is_resumed());
    assert_eq!(
        after.0.info().peer_certificates(),
        before.0.info().peer_certificates()
    );
}

/// Takes up to twenty seconds to ask for a certificate: all that time between its two instants.
#[derive(Debug)]
struct Late {
    certificates: ReloadingCertificates,
    asked: AtomicU32,
}

impl CertificateResolver for Late {
    fn resolve<'a>(
        &'a self,
        query: &'a CertificateQuery<'a>,
        context: &'a ConnectionContext,
    ) -> Answer<'a, Result<Option<Arc<CertifiedKey>>, HookError>> {
        // Without a pattern, and the same each time.
        let number = self.asked.fetch_add(1, Relaxed).wrapping_mul(2_654_435_761) >> 16;
        Answer::later(async move {
            sleep(Duration::from_millis(u64::from(number % 20_000))).await;
            match self.certificates.resolve(query, context) {
                Answer::Now(answer) => answer,
                Answer::Later(answer) => answer.await,
            }
        })
    }
}

#[tokio::test(start_paused = true)]
async fn a_hundred_replacements_are_each_used_in_time_by_two_hundred_connections_at_once() {
    const REPLACEMENTS: usize = 100;
    const CLIENTS: usize = 200;
    let interval = Duration::from_secs(1);

    let reports = Reports::default();
    let first = identity();
    let files = Files::new(&first);
    let builder = files.builder().interval(interval).on_reload(reports.callback());
    let late = Late {
        certificates: builder.load().await.unwrap(),
        asked: AtomicU32::new(0),
    };
    let server = ServerConfig::builder()
        .certificate_resolver(Arc::new(late))
        .tickets(0)
        .build()
        .unwrap();

    let is_over = Arc::new(AtomicBool::new(false));
    let seen = Arc::new(Mutex::new(Vec::<(Instant, CertificateDer<'static>)>::new()));
    let clients: Vec<_> = (0..CLIENTS)
        .map(|_| {
            let (server, is_over, seen) = (server.clone(), Arc::clone(&is_over), Arc::clone(&seen));
            tokio::spawn(async move {
                let client = small_client();
                while !is_over.load(Relaxed) {
                    // It ends at the instant at which it was given its certificate: nothing after that takes time.
                    let (client, _server) = handshake(&client, &server, Duration::from_secs(60)).await;
                    let leaf = client.info().peer_certificates()[0].clone();
                    seen.lock().unwrap().push((Instant::now(), leaf));
                }
            })
        })
        .collect();

    // When the replacement of each leaf began.
    let mut replaced = vec![(Instant::now(), first.leaf())];
    for number in 0..REPLACEMENTS {
        let next = identity();
        replaced.push((Instant::now(), next.leaf()));
        files.rename_over(&next);
        sleep(interval + Duration::from_millis(5 + 7 * (number as u64 % 30))).await;
        assert_eq!(reports.take(), ["ok chain.pem"], "replacement {number}");
        if number == REPLACEMENTS / 2 {
            fs::write(&files.key, identity().key_pem()).unwrap();
            sleep(3 * interval).await;
            reports.assert_failed("does not belong");
        }
    }
    is_over.store(true, Relaxed);
    for client in clients {
        client.await.unwrap();
    }

    let seen = seen.lock().unwrap();
    assert!(seen.len() > 10 * CLIENTS, "{} handshakes", seen.len());
    let mut counts = vec![0; replaced.len()];
    for (at, leaf) in &*seen {
        let number = replaced
            .iter()
            .position(|(_, replaced)| replaced == leaf)
            .unwrap();
        counts[number] += 1;
        assert!(replaced[number].0 <= *at);
        if let Some((next, _)) = replaced.get(number + 1) {
            let late = at.saturating_duration_since(*next);
            assert!(
                late <= interval + Duration::from_millis(5),
                "replacement {number}: {late:?}"
            );
        }
    }
    assert!(
        counts.iter().filter(|count| **count > 0).count() > 95,
        "{counts:?}"
    );
}
