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
use std::time::Duration;

use tls_core::{
    AlertDescription, CertifiedKey, ErrorKind, HookError, Phase, ProtocolVersion, ServerConfig,
    SignatureScheme, SigningKey,
};
use tls_tests::both_versions;
use tls_tests::pair::{NAME, client, identity, name};
use tls_tests::pki::{Identity, KeyType};
use tls_tests::versions::Only;
use tls_tokio::{BlockingKey, Error, SignBlocking, TlsAcceptor, TlsConnector};
use tokio::io::duplex;

both_versions!(
    real async many_handshakes_share_a_key_that_signs_two_at_a_time,
    a_key_that_panics_or_is_another_one_fails_its_handshake_alone,
    a_key_that_blocks_ends_at_the_deadline_by_name,
);

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

/// A server with this identity's chain, and a client of one version.
fn ends(
    version: ProtocolVersion,
    identity: &Identity,
    key: &Identity,
    before: impl Fn() + Send + Sync + 'static,
) -> (TlsConnector, TlsAcceptor) {
    let key = Key {
        key: SigningKey::from_der(&key.key()).unwrap(),
        before: Box::new(before),
    };
    let key = BlockingKey::new(Arc::new(key), 2);
    let certified = CertifiedKey::new(identity.chain(), Arc::new(key)).unwrap();
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
    let (connector, acceptor) = ends(version, &identity, &identity, move || {
        count.fetch_add(1, SeqCst);
    });
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
    let (connector, acceptor) = ends(version, &good, &good, move || {
        assert!(asked.fetch_add(1, SeqCst) != 1, "as the test wants it");
    });
    for is_refused in [false, true, false] {
        let (client, server) = meet(&connector, &acceptor).await;
        if is_refused {
            assert_refused(client, server, "the key panicked");
        } else {
            client.unwrap();
            server.unwrap();
        }
    }
    let (connector, acceptor) = ends(version, &good, &other, || {});
    let (client, server) = meet(&connector, &acceptor).await;
    assert_refused(client, server, "does not fit the certificate");
}

async fn a_key_that_blocks_ends_at_the_deadline_by_name(version: ProtocolVersion) {
    let identity = identity(KeyType::P256);
    let (free, stuck) = channel::<()>();
    let stuck = Mutex::new(stuck);
    let (connector, acceptor) = ends(version, &identity, &identity, move || {
        let _ = stuck.lock().unwrap().recv();
    });
    let impatient = acceptor
        .clone()
        .handshake_timeout(Some(Duration::from_millis(50)));
    // The third does not even get its turn.
    for _ in 0..3 {
        let (_, server) = meet(&connector, &impatient).await;
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
