//! Handshakes whose key blocks while it signs.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::large_futures,
    reason = "tests"
)]

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};

use tls_core::{
    AlertDescription, Answer, CertifiedKey, ConnectionContext, ErrorKind, HookError, Phase, PrivateKey,
    ProtocolVersion, ServerConfig, SignatureScheme, SigningKey,
};
use tls_tests::both_versions;
use tls_tests::pair::{NAME, client, identity, name};
use tls_tests::pki::{Identity, KeyType};
use tls_tests::versions::Only;
use tls_tokio::{BlockingKey, DEFAULT_HANDSHAKE_TIMEOUT, Error, SignBlocking, TlsAcceptor, TlsConnector};
use tokio::io::duplex;

mod in_time {
    super::both_versions!(
        real async many_handshakes_share_a_key_that_signs_two_at_a_time,
        a_key_that_panics_or_is_another_one_fails_its_handshake_alone,
    );
    use super::*;
}

mod too_late {
    // The paused clock stands still while the key blocks.
    super::both_versions!(async a_key_that_blocks_ends_at_the_deadline_by_name);
    use super::*;
}

/// A key that does something else before it signs.
struct Key {
    key: SigningKey,
    before: Box<dyn Fn() + Send + Sync>,
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key")
    }
}

impl SignBlocking for Key {
    fn schemes(&self) -> &[SignatureScheme] {
        self.key.schemes()
    }

    fn sign(&self, scheme: SignatureScheme, message: &[u8]) -> Result<Vec<u8>, HookError> {
        (self.before)();
        SignBlocking::sign(&self.key, scheme, message)
    }
}

/// The key of this identity, two signatures at a time.
fn blocking(identity: &Identity, before: impl Fn() + Send + Sync + 'static) -> BlockingKey {
    let key = Key {
        key: SigningKey::from_der(&identity.key()).unwrap(),
        before: Box::new(before),
    };
    BlockingKey::new(Arc::new(key), 2)
}

/// A server with this identity's chain, and a client of one version.
fn ends(
    version: ProtocolVersion,
    identity: &Identity,
    key: Arc<dyn PrivateKey>,
) -> (TlsConnector, TlsAcceptor) {
    let certified = CertifiedKey::new(identity.chain(), key).unwrap();
    let server = ServerConfig::builder().certificate(certified).build().unwrap();
    let client = client().only(version).build().unwrap();
    (TlsConnector::new(client), TlsAcceptor::new(server))
}

/// What client and server say of a handshake.
async fn meet(connector: &TlsConnector, acceptor: &TlsAcceptor) -> (Result<(), Error>, Result<(), Error>) {
    let (ours, theirs) = duplex(16 * 1024);
    // Who fails lets go of its end at once, so that the other notices.
    let client = async {
        let connected = connector.connect(name(NAME), ours).await;
        connected.map_err(|failure| failure.into_parts().0)
    };
    let server = async {
        let accepted = acceptor.accept(theirs).await;
        accepted.map_err(|failure| failure.into_parts().0)
    };
    let (client, server) = tokio::join!(client, server);
    (client.map(drop), server.map(drop))
}

async fn many_handshakes_share_a_key_that_signs_two_at_a_time(version: ProtocolVersion) {
    let identity = identity(KeyType::Rsa2048);
    let signed = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&signed);
    let key = blocking(&identity, move || {
        count.fetch_add(1, SeqCst);
    });
    let (connector, acceptor) = ends(version, &identity, Arc::new(key));
    let handshakes: Vec<_> = (0..32)
        .map(|_| {
            let (connector, acceptor) = (connector.clone(), acceptor.clone());
            tokio::spawn(async move { meet(&connector, &acceptor).await })
        })
        .collect();
    for handshake in handshakes {
        let (client, server) = handshake.await.unwrap();
        client.unwrap();
        server.unwrap();
    }
    assert_eq!(signed.load(SeqCst), 32);
}

fn assert_refused(client: Result<(), Error>, server: Result<(), Error>, why: &str) {
    let (Err(Error::Tls(client)), Err(Error::Tls(server))) = (client, server) else {
        panic!("{why}: it is refused");
    };
    let said = ErrorKind::AlertReceived(AlertDescription::INTERNAL_ERROR).to_string();
    assert!(client.to_string().contains(&said), "{client}");
    assert!(
        matches!(
            server.kind(),
            ErrorKind::Hook {
                hook: "PrivateKey",
                ..
            }
        ),
        "{server}"
    );
    assert!(server.to_string().contains(why), "{server}");
}

async fn a_key_that_panics_or_is_another_one_fails_its_handshake_alone(version: ProtocolVersion) {
    let (good, other) = (identity(KeyType::P256), identity(KeyType::P256));
    let asked = AtomicUsize::new(0);
    let key = blocking(&good, move || {
        assert!(asked.fetch_add(1, SeqCst) != 1, "as the test wants it");
    });
    let (connector, acceptor) = ends(version, &good, Arc::new(key));
    for is_refused in [false, true, false] {
        let (client, server) = meet(&connector, &acceptor).await;
        if is_refused {
            assert_refused(client, server, "the key panicked");
        } else {
            client.unwrap();
            server.unwrap();
        }
    }
    let (connector, acceptor) = ends(version, &good, Arc::new(blocking(&other, || {})));
    let (client, server) = meet(&connector, &acceptor).await;
    assert_refused(client, server, "does not fit the certificate");
}

/// Counts how often it is asked.
#[derive(Debug)]
struct Counted(BlockingKey, Arc<AtomicUsize>);

impl PrivateKey for Counted {
    fn schemes(&self) -> &[SignatureScheme] {
        self.0.schemes()
    }

    fn sign<'a>(
        &'a self,
        scheme: SignatureScheme,
        message: &'a [u8],
        context: &'a ConnectionContext,
    ) -> Answer<'a, Result<Vec<u8>, HookError>> {
        self.1.fetch_add(1, SeqCst);
        self.0.sign(scheme, message, context)
    }
}

async fn a_key_that_blocks_ends_at_the_deadline_by_name(version: ProtocolVersion) {
    let (free, stuck) = channel::<()>();
    let stuck = Mutex::new(stuck);
    let asked = Arc::new(AtomicUsize::new(0));
    let identity = identity(KeyType::P256);
    let key = blocking(&identity, move || {
        let _ = stuck.lock().unwrap().recv();
    });
    let (connector, acceptor) = ends(version, &identity, Arc::new(Counted(key, Arc::clone(&asked))));
    // The third does not even get its turn.
    for number in 1..=3 {
        let (connector, acceptor) = (connector.clone(), acceptor.clone());
        let handshake = tokio::spawn(async move { meet(&connector, &acceptor).await });
        while asked.load(SeqCst) < number {
            tokio::task::yield_now().await;
        }
        tokio::time::advance(DEFAULT_HANDSHAKE_TIMEOUT).await;
        let (_, server) = handshake.await.unwrap();
        let Err(Error::Timeout(timed_out)) = server else {
            panic!("it cannot end");
        };
        assert_eq!(timed_out.phase, Phase::Hook("PrivateKey"));
    }
    // Freed, it has turns for those that come then.
    drop(free);
    for _ in 0..3 {
        let (client, server) = meet(&connector, &acceptor).await;
        client.unwrap();
        server.unwrap();
    }
}
