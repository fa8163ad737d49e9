//! Every suite of both versions with every group and every fitting type of certificate, each side, a mebibyte each
//! way.

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

/// Suite, and what OpenSSL calls it: its own names for TLS 1.2.
const SUITES: [(ProtocolVersion, CipherSuite, &str); 9] = [
    (
        TLS13,
        CipherSuite::TLS_AES_128_GCM_SHA256,
        "TLS_AES_128_GCM_SHA256",
    ),
    (
        TLS13,
        CipherSuite::TLS_AES_256_GCM_SHA384,
        "TLS_AES_256_GCM_SHA384",
    ),
    (
        TLS13,
        CipherSuite::TLS_CHACHA20_POLY1305_SHA256,
        "TLS_CHACHA20_POLY1305_SHA256",
    ),
    (
        TLS12,
        CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
        "ECDHE-ECDSA-AES128-GCM-SHA256",
    ),
    (
        TLS12,
        CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
        "ECDHE-ECDSA-AES256-GCM-SHA384",
    ),
    (
        TLS12,
        CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
        "ECDHE-ECDSA-CHACHA20-POLY1305",
    ),
    (
        TLS12,
        CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
        "ECDHE-RSA-AES128-GCM-SHA256",
    ),
    (
        TLS12,
        CipherSuite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
        "ECDHE-RSA-AES256-GCM-SHA384",
    ),
    (
        TLS12,
        CipherSuite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
        "ECDHE-RSA-CHACHA20-POLY1305",
    ),
];

const TLS12: ProtocolVersion = ProtocolVersion::TLS12;
const TLS13: ProtocolVersion = ProtocolVersion::TLS13;

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
    version: ProtocolVersion,
    suite: CipherSuite,
    suite_name: &'static str,
    group: NamedGroup,
    group_argument: &'static str,
    group_printed: &'static str,
    scheme: SignatureScheme,
    signature: &'static str,
    digest: &'static str,
    identity: Arc<(Identity, IdentityFiles)>,
}

impl Combination {
    fn all(world: &World, version: ProtocolVersion) -> Vec<Self> {
        let mut all = Vec::new();
        for (key_type, scheme, signature, digest) in SIGNATURES {
            let identity = world.localhost(key_type);
            let files = world.files(&identity, &format!("{key_type:?}"));
            let identity = Arc::new((identity, files));
            let fits = |suite: CipherSuite| match suite.to_string() {
                name if name.contains("_ECDSA_") => key_type != KeyType::Rsa2048,
                name if name.contains("_RSA_") => key_type == KeyType::Rsa2048,
                _ => true,
            };
            let suites = SUITES
                .into_iter()
                .filter(|(of, suite, _)| *of == version && fits(*suite));
            for (version, suite, suite_name) in suites {
                for (group, group_argument, group_printed) in GROUPS {
                    all.push(Self {
                        version,
                        suite,
                        suite_name,
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

    /// The scheme that OpenSSL signs with. In TLS 1.2 the curve is not part of it (RFC 8422 section 5.1.3): it takes
    /// our first with ECDSA, whatever its key.
    fn scheme_of_openssl(&self) -> SignatureScheme {
        match (self.version, self.signature) {
            (TLS12, "ECDSA") => SignatureScheme::ECDSA_SECP256R1_SHA256,
            _ => self.scheme,
        }
    }

    /// The options that limit OpenSSL to version and suite.
    fn limits(&self) -> [&'static str; 3] {
        match self.version {
            TLS12 => ["-tls1_2", "-cipher", self.suite_name],
            _ => ["-tls1_3", "-ciphersuites", self.suite_name],
        }
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
async fn our_client_and_openssl_exchange_a_mebibyte_each_way_in_every_combination_of_tls_1_3() {
    in_every_combination(TLS13, with_s_server).await;
}

#[tokio::test]
async fn our_server_and_openssl_exchange_a_mebibyte_each_way_in_every_combination_of_tls_1_3() {
    in_every_combination(TLS13, with_s_client).await;
}

#[tokio::test]
async fn our_client_and_openssl_exchange_a_mebibyte_each_way_in_every_combination_of_tls_1_2() {
    in_every_combination(TLS12, with_s_server).await;
}

#[tokio::test]
async fn our_server_and_openssl_exchange_a_mebibyte_each_way_in_every_combination_of_tls_1_2() {
    in_every_combination(TLS12, with_s_client).await;
}

async fn in_every_combination<F>(version: ProtocolVersion, run: fn(Arc<World>, Combination) -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    if !require_or_skip("openssl") {
        return;
    }
    let world = Arc::new(World::new());
    let combinations = Combination::all(&world, version);
    at_once(combinations, move |combination| {
        run(Arc::clone(&world), combination)
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
    let arguments = [
        &combination.limits()[..],
        &["-quiet", "-brief", "-groups", combination.group_argument],
    ]
    .concat();
    let mut server = s_server(&combination.identity.1, &arguments).await;
    let client = world.client();
    let config = match combination.version {
        TLS12 => client.build().unwrap(),
        _ => client.key_shares([combination.group]).build().unwrap(),
    };
    let mut stream = connect(server.address, config).await.unwrap();

    let info = stream.info();
    assert_eq!(info.version(), combination.version);
    assert_eq!(info.cipher_suite(), combination.suite);
    assert_eq!(info.group(), Some(combination.group));
    assert_eq!(info.signature_scheme(), Some(combination.scheme_of_openssl()));
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
    combination.assert_printed(
        &finished.text(),
        "Protocol version",
        &combination.version.to_string(),
    );
    combination.assert_printed(&finished.text(), "Ciphersuite", combination.suite_name);
}

async fn with_s_client(world: Arc<World>, combination: Combination) {
    let (listener, address) = Listener::new().await;
    // In TLS 1.2 OpenSSL wants the curve of an ECDSA certificate among its groups too: the choice is left to us.
    let (theirs, ours) = match combination.version {
        TLS12 => ("X25519:P-256:P-384:P-521", Some([combination.group])),
        _ => (combination.group_argument, None),
    };
    let arguments = [
        "-brief",
        "-nocommands",
        "-CAfile",
        world.root(),
        "-verify_return_error",
        "-verify_hostname",
        "localhost",
        "-servername",
        "localhost",
        "-groups",
        theirs,
    ];
    let mut client = s_client(address, &[&combination.limits()[..], &arguments].concat());
    let mut config = ServerConfig::builder().certificate(certified(&combination.identity.0));
    if let Some(group) = ours {
        config = config.groups(group);
    }
    let stream = listener.accept(config.build().unwrap()).await.unwrap();

    let info = stream.info();
    assert_eq!(info.version(), combination.version);
    assert_eq!(info.cipher_suite(), combination.suite);
    assert_eq!(info.group(), Some(combination.group));
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
    combination.assert_printed(&text, "Protocol version", &combination.version.to_string());
    combination.assert_printed(&text, "Ciphersuite", combination.suite_name);
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
