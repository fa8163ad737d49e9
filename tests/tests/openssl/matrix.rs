//! Every suite with every group and every type of certificate, each side, a mebibyte each way.

use std::sync::Arc;

use tls_core::{CipherSuite, NamedGroup, ProtocolVersion, ServerConfig, SignatureScheme};
use tls_tests::openssl::{s_client, s_server};
use tls_tests::pki::{Identity, IdentityFiles, KeyType};
use tls_tests::process::{LIMIT, Process, require_or_skip};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::{Listener, World, assert_no_error, certified, close, connect, noise};

const SIZE: usize = 1 << 20;

/// Processes at a time, besides those of the other tests.
const AT_ONCE: usize = 4;

const SUITES: [CipherSuite; 3] = [
    CipherSuite::TLS_AES_128_GCM_SHA256,
    CipherSuite::TLS_AES_256_GCM_SHA384,
    CipherSuite::TLS_CHACHA20_POLY1305_SHA256,
];

/// Group, its name in arguments of OpenSSL, and as OpenSSL prints it.
const GROUPS: [(NamedGroup, &str, &str); 4] = [
    (NamedGroup::X25519, "X25519", "X25519, 253 bits"),
    (NamedGroup::SECP256R1, "P-256", "ECDH, prime256v1, 256 bits"),
    (NamedGroup::SECP384R1, "P-384", "ECDH, secp384r1, 384 bits"),
    (NamedGroup::SECP521R1, "P-521", "ECDH, secp521r1, 521 bits"),
];

/// Type of the certificate's key, the scheme that goes with it, and how OpenSSL prints that.
const SIGNATURES: [(KeyType, SignatureScheme, &str, &str); 5] = [
    (
        KeyType::P256,
        SignatureScheme::ECDSA_SECP256R1_SHA256,
        "ECDSA",
        "SHA256",
    ),
    (
        KeyType::P384,
        SignatureScheme::ECDSA_SECP384R1_SHA384,
        "ECDSA",
        "SHA384",
    ),
    (
        KeyType::P521,
        SignatureScheme::ECDSA_SECP521R1_SHA512,
        "ECDSA",
        "SHA512",
    ),
    (
        KeyType::Rsa2048,
        SignatureScheme::RSA_PSS_RSAE_SHA256,
        "RSA-PSS",
        "SHA256",
    ),
    (KeyType::Ed25519, SignatureScheme::ED25519, "Ed25519", ""),
];

struct Combination {
    suite: CipherSuite,
    group: NamedGroup,
    group_argument: &'static str,
    group_printed: &'static str,
    scheme: SignatureScheme,
    signature: &'static str,
    digest: &'static str,
    identity: Arc<(Identity, IdentityFiles)>,
}

impl Combination {
    fn all(world: &World) -> Vec<Self> {
        let mut all = Vec::new();
        for (key_type, scheme, signature, digest) in SIGNATURES {
            let identity = world.localhost(key_type);
            let files = world.files(&identity, &format!("{key_type:?}"));
            let identity = Arc::new((identity, files));
            for suite in SUITES {
                for (group, group_argument, group_printed) in GROUPS {
                    all.push(Self {
                        suite,
                        group,
                        group_argument,
                        group_printed,
                        scheme,
                        signature,
                        digest,
                        identity: Arc::clone(&identity),
                    });
                }
            }
        }
        assert_eq!(all.len(), 60);
        all
    }

    fn name(&self) -> String {
        format!("{} {} {}", self.suite, self.group, self.scheme)
    }

    /// What `-brief` printed: `Key: value`, whatever the case.
    fn assert_printed(&self, text: &str, key: &str, value: &str) {
        let line = format!("{key}: {value}");
        let found = text
            .lines()
            .any(|printed| printed.trim_end().eq_ignore_ascii_case(&line));
        assert!(found, "{}: no {line:?} in {text}", self.name());
    }
}

#[tokio::test]
async fn our_client_and_openssl_exchange_a_mebibyte_each_way_in_every_combination() {
    if !require_or_skip("openssl") {
        return;
    }
    let world = Arc::new(World::new());
    let combinations = Combination::all(&world);
    at_once(combinations, move |combination| {
        with_s_server(Arc::clone(&world), combination)
    })
    .await;
}

#[tokio::test]
async fn our_server_and_openssl_exchange_a_mebibyte_each_way_in_every_combination() {
    if !require_or_skip("openssl") {
        return;
    }
    let world = Arc::new(World::new());
    let combinations = Combination::all(&world);
    at_once(combinations, move |combination| {
        with_s_client(Arc::clone(&world), combination)
    })
    .await;
}

/// All of them, some at a time; the first that fails fails the test.
async fn at_once<F>(combinations: Vec<Combination>, run: impl Fn(Combination) -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    let room = Arc::new(Semaphore::new(AT_ONCE));
    let mut running = JoinSet::new();
    for combination in combinations {
        let (name, run, room) = (combination.name(), run(combination), Arc::clone(&room));
        running.spawn(async move {
            let _place = room.acquire_owned().await.unwrap();
            let ended = tokio::spawn(run).await;
            assert!(ended.is_ok(), "failed: {name}");
        });
    }
    while let Some(ended) = running.join_next().await {
        ended.unwrap();
    }
}

async fn with_s_server(world: Arc<World>, combination: Combination) {
    let suite = combination.suite.to_string();
    let arguments = [
        "-tls1_3",
        "-quiet",
        "-brief",
        "-ciphersuites",
        &suite,
        "-groups",
        combination.group_argument,
    ];
    let mut server = s_server(&combination.identity.1, &arguments).await;
    let config = world.client().key_shares([combination.group]).build().unwrap();
    let mut stream = connect(server.address, config).await.unwrap();

    let info = stream.info();
    assert_eq!(info.version(), ProtocolVersion::TLS13);
    assert_eq!(info.cipher_suite(), combination.suite);
    assert_eq!(info.group(), combination.group);
    assert_eq!(info.signature_scheme(), Some(combination.scheme));
    assert_eq!(info.peer_certificates(), combination.identity.0.chain());
    assert!(!info.had_hello_retry_request() && !info.is_resumed());

    // Both ways at the same time.
    let (ours, theirs) = (noise(SIZE, 1), noise(SIZE, 2));
    let mut received = vec![0; SIZE];
    let (mut read, mut write) = tokio::io::split(&mut stream);
    let exchanged = timeout(LIMIT, async {
        tokio::join!(
            async {
                write.write_all(&ours).await.unwrap();
                write.flush().await.unwrap();
            },
            async { read.read_exact(&mut received).await.unwrap() },
            async { server.process.send(&theirs).await.unwrap() },
        )
    });
    assert!(exchanged.await.is_ok(), "the exchange does not end");
    assert!(received == theirs, "what s_server sent did not arrive as it was");
    let arrived = server.process.wait_for_stdout(SIZE).await;
    assert!(arrived == ours, "what we sent did not arrive as it was");

    close(&mut stream).await;
    let finished = server.process.finish().await;
    assert!(finished.status.success());
    assert_no_error(&finished);
    assert_eq!(finished.stdout.len(), SIZE);
    combination.assert_printed(&finished.text(), "Protocol version", "TLSv1.3");
    combination.assert_printed(&finished.text(), "Ciphersuite", &suite);
}

async fn with_s_client(world: Arc<World>, combination: Combination) {
    let (listener, address) = Listener::new().await;
    let suite = combination.suite.to_string();
    let arguments = [
        "-tls1_3",
        "-brief",
        "-nocommands",
        "-CAfile",
        world.root(),
        "-verify_return_error",
        "-verify_hostname",
        "localhost",
        "-servername",
        "localhost",
        "-ciphersuites",
        &suite,
        "-groups",
        combination.group_argument,
    ];
    let mut client = s_client(address, &arguments);
    let config = ServerConfig::builder()
        .certificate(certified(&combination.identity.0))
        .build()
        .unwrap();
    let stream = listener.accept(config).await.unwrap();

    let info = stream.info();
    assert_eq!(info.version(), ProtocolVersion::TLS13);
    assert_eq!(info.cipher_suite(), combination.suite);
    assert_eq!(info.group(), combination.group);
    assert_eq!(info.signature_scheme(), Some(combination.scheme));
    assert_eq!(info.server_name(), Some("localhost"));
    assert!(info.peer_certificates().is_empty() && !info.had_hello_retry_request());

    // An echo whose reading never waits for its writing: s_client does not read while it writes.
    let (mut read, mut write) = stream.into_split();
    let (pieces, mut to_write) = mpsc::unbounded_channel::<Vec<u8>>();
    let echo = async {
        tokio::join!(
            async move {
                let mut space = vec![0; 64 * 1024];
                loop {
                    match read.read(&mut space).await.unwrap() {
                        0 => break,
                        length => pieces.send(space[..length].to_vec()).unwrap(),
                    }
                }
            },
            async move {
                while let Some(piece) = to_write.recv().await {
                    write.write_all(&piece).await.unwrap();
                    write.flush().await.unwrap();
                }
                // s_client has closed, and may be gone.
                let _ = write.shutdown().await;
            },
        )
    };
    let data = noise(SIZE, 3);
    let user = async {
        client.send(&data).await.unwrap();
        let echoed = client.wait_for_stdout(SIZE).await;
        assert!(echoed == data, "the echo is not what was sent");
        client.close_stdin();
        finish(client).await
    };
    let both = timeout(LIMIT, async { tokio::join!(echo, user) });
    let (_, text) = Box::pin(both).await.expect("the echo ends");
    combination.assert_printed(&text, "Protocol version", "TLSv1.3");
    combination.assert_printed(&text, "Ciphersuite", &suite);
    combination.assert_printed(&text, "Server Temp Key", combination.group_printed);
    combination.assert_printed(&text, "Signature type", combination.signature);
    if !combination.digest.is_empty() {
        combination.assert_printed(&text, "Hash used", combination.digest);
    }
    combination.assert_printed(&text, "Verification", "OK");
}

/// What it said on stderr, once it has ended well.
async fn finish(client: Process) -> String {
    let finished = client.finish().await;
    assert!(finished.status.success());
    assert_no_error(&finished);
    assert_eq!(finished.stdout.len(), SIZE);
    String::from_utf8(finished.stderr).unwrap()
}
