//! Clients with certificates: OpenSSL's at our server, ours at OpenSSL's.

use std::sync::Arc;

use tls_core::{CertificateError, ClientAuth, ErrorKind, NothingInCommon, RevocationLists, WebPkiVerifier};
use tls_tests::openssl::{Negotiated, alert_seen, s_client, s_server};
use tls_tests::pki::{Authority, Identity, IdentityFiles, KeyType, Leaf, Validity};
use tls_tests::process::require_or_skip;
use tls_tokio::{MemorySessionCache, MemorySessionStore, RootStore, ServerConfig};
use tokio::io::AsyncReadExt;

use crate::{Listener, World, assert_no_error, certified, close, connect, expect, kind, path, send};

both_versions! {
    our_server_knows_an_openssl_client_by_its_certificate,
    our_server_refuses_an_openssl_client_and_it_sees_why,
    an_openssl_client_resumes_and_is_known_again,
    an_openssl_client_that_was_revoked_since_does_not_resume,
    openssl_refuses_our_client_and_we_see_why,
    our_client_with_a_certificate_resumes_at_openssl,
}

fn leaf() -> Leaf {
    Leaf::new(KeyType::P256, &["client.example"]).client()
}

fn verifier(world: &World) -> WebPkiVerifier {
    WebPkiVerifier::new(RootStore::from_pem(world.authority.root_pem().as_bytes()).unwrap())
}

fn required(world: &World) -> ClientAuth {
    ClientAuth::required(Arc::new(verifier(world)))
}

fn requested(world: &World) -> ClientAuth {
    ClientAuth::requested(Arc::new(verifier(world)))
}

/// Options of `s_client` that present this.
fn presenting(files: &IdentityFiles) -> Vec<&str> {
    let mut arguments = vec!["-cert", path(&files.leaf), "-key", path(&files.key)];
    if let Some(issuers) = &files.issuers {
        arguments.extend(["-cert_chain", path(issuers)]);
    }
    arguments
}

/// One connection of `s_client`: what it said, whom we took it for, and whether it was resumed.
async fn comes(config: &ServerConfig, arguments: &[&str]) -> (String, Vec<Vec<u8>>, bool) {
    let (listener, address) = Listener::new().await;
    let mut client = s_client(address, arguments);
    let mut stream = listener.accept(config.clone()).await.unwrap();
    send(&mut stream, b"greeting\n").await;
    client.wait_for("greeting").await;
    client.send(b"data\n").await.unwrap();
    expect(&mut stream, b"data\n").await;
    client.send(b"Q\n").await.unwrap();
    close(&mut stream).await;
    let finished = client.finish().await;
    assert_no_error(&finished);
    let text = finished.text();
    let info = stream.info();
    let resumed = info.is_resumed();
    assert_eq!(Negotiated::parse(&text).unwrap().reused, resumed, "{text}");
    let chain = info.peer_certificates().iter();
    (text, chain.map(|der| der.to_vec()).collect(), resumed)
}

fn chain(identity: &Identity) -> Vec<Vec<u8>> {
    identity.chain().iter().map(|der| der.to_vec()).collect()
}

async fn our_server_knows_an_openssl_client_by_its_certificate(version: &str) {
    if !require_or_skip("openssl") {
        return;
    }
    let world = World::new();
    for key_type in [KeyType::P256, KeyType::P521, KeyType::Ed25519, KeyType::Rsa2048] {
        let identity = world
            .authority
            .issue(&Leaf::new(key_type, &["client.example"]).client());
        let files = world.files(&identity, "client");
        let config = world.server().client_auth(required(&world)).build().unwrap();
        let (text, seen, _) = Box::pin(comes(&config, &[&[version], &presenting(&files)[..]].concat())).await;
        assert_eq!(seen, chain(&identity), "{key_type:?}");
        assert!(text.contains("Acceptable client certificate CA names"), "{text}");
        assert!(text.contains("CN = Test root"), "{text}");
    }
    // Asked, but not required, and without names.
    let config = world.server().client_auth(requested(&world).authorities([]));
    let (text, seen, _) = Box::pin(comes(&config.build().unwrap(), &[version])).await;
    assert!(seen.is_empty());
    assert!(text.contains("No client certificate CA names sent"), "{text}");
    assert!(text.contains("Requested Signature Algorithms"), "{text}");
}

async fn our_server_refuses_an_openssl_client_and_it_sees_why(version: &str) {
    if !require_or_skip("openssl") {
        return;
    }
    let world = World::new();
    let is_tls13 = version == "-tls1_3";
    let issue = |leaf: Leaf| world.authority.issue(&leaf);
    let revoked = issue(leaf());
    let lists = world.authority.revocation_lists(&[&revoked]);
    let lists = RevocationLists::from_pem(lists.as_bytes()).unwrap();
    let auth = ClientAuth::required(Arc::new(verifier(&world).revocation_lists(lists)));
    let config = world.server().client_auth(auth).build().unwrap();
    for (what, identity, alert) in [
        ("nothing", None, if is_tls13 { 116 } else { 40 }),
        ("another authority", Some(Authority::new().issue(&leaf())), 48),
        ("expired", Some(issue(leaf().validity(Validity::Expired))), 45),
        ("revoked", Some(revoked), 44),
        (
            "a server's",
            Some(issue(Leaf::new(KeyType::P256, &["client.example"]))),
            43,
        ),
        ("not for signing", Some(issue(leaf().not_for_signing())), 43),
    ] {
        let files = identity.as_ref().map(|identity| world.files(identity, "bad"));
        let arguments = files.as_ref().map(presenting).unwrap_or_default();
        let (listener, address) = Listener::new().await;
        let client = s_client(address, &[&[version], &arguments[..]].concat());
        let error = listener.accept(config.clone()).await.unwrap_err();
        match kind(&error) {
            ErrorKind::Certificate(error) => {
                assert_eq!(*error == CertificateError::Revoked, what == "revoked", "{error}");
            }
            ErrorKind::NothingInCommon(NothingInCommon::ClientCertificate { .. }) => {
                assert_eq!(what, "nothing");
            }
            _ => panic!("{what}: {error}"),
        }
        let finished = client.finish().await;
        assert_eq!(finished.alert_seen(), Some(alert), "{what}: {}", finished.text());
    }
}

/// Where sessions are: in tickets, and in a store.
fn servers(world: &World, auth: &ClientAuth) -> [ServerConfig; 2] {
    let server = || world.server().client_auth(auth.clone());
    let store = Arc::new(MemorySessionStore::new(100));
    [server(), server().session_store(store)].map(|builder| builder.build().unwrap())
}

async fn an_openssl_client_resumes_and_is_known_again(version: &str) {
    if !require_or_skip("openssl") {
        return;
    }
    let world = World::new();
    let session = world.directory.path().join("session.pem");
    let identity = world.authority.issue(&leaf());
    let files = world.files(&identity, "client");
    for config in servers(&world, &required(&world)) {
        let base = [&[version, "-servername", "localhost"], &presenting(&files)[..]].concat();
        let out = [&base[..], &["-sess_out", path(&session)]].concat();
        let into = [&base[..], &["-sess_in", path(&session)]].concat();
        for (arguments, resumes) in [(&out, false), (&into, true)] {
            let (text, seen, resumed) = Box::pin(comes(&config, arguments)).await;
            assert_eq!(seen, chain(&identity));
            assert_eq!(resumed, resumes, "{text}");
        }
    }
}

async fn an_openssl_client_that_was_revoked_since_does_not_resume(version: &str) {
    if !require_or_skip("openssl") {
        return;
    }
    let world = World::new();
    let session = world.directory.path().join("session.pem");
    let identity = world.authority.issue(&leaf());
    let files = world.files(&identity, "client");
    let keys = Arc::new(tls_core::RotatingTicketKeys::new());
    let server = |revoked: &[&Identity]| {
        let lists = world.authority.revocation_lists(revoked);
        let lists = RevocationLists::from_pem(lists.as_bytes()).unwrap();
        let auth = ClientAuth::required(Arc::new(verifier(&world).revocation_lists(lists)));
        let server = world.server().client_auth(auth).ticket_keys(keys.clone());
        server.build().unwrap()
    };
    let base = [&[version, "-servername", "localhost"], &presenting(&files)[..]].concat();
    let out = [&base[..], &["-sess_out", path(&session)]].concat();
    let (_, seen, _) = Box::pin(comes(&server(&[]), &out)).await;
    assert_eq!(seen, chain(&identity));
    let (listener, address) = Listener::new().await;
    let client = s_client(address, &[&base[..], &["-sess_in", path(&session)]].concat());
    let error = listener.accept(server(&[&identity])).await.unwrap_err();
    assert!(
        matches!(kind(&error), ErrorKind::Certificate(CertificateError::Revoked)),
        "{error}"
    );
    assert_eq!(alert_seen(&client.finish().await.text()), Some(44));
}

async fn openssl_refuses_our_client_and_we_see_why(version: &str) {
    if !require_or_skip("openssl") {
        return;
    }
    let world = World::new();
    let server_files = world.localhost_files(KeyType::P256);
    for (what, identity, alert) in [
        ("another authority", Authority::new().issue(&leaf()), "unknown_ca"),
        (
            "expired",
            world.authority.issue(&leaf().validity(Validity::Expired)),
            "certificate_expired",
        ),
        (
            "a server's",
            world
                .authority
                .issue(&Leaf::new(KeyType::P256, &["client.example"])),
            "unsupported_certificate",
        ),
    ] {
        let arguments = [
            version,
            "-Verify",
            "3",
            "-verify_return_error",
            "-CAfile",
            world.root(),
        ];
        let server = s_server(&server_files, &arguments).await;
        let config = world.client().certificate(certified(&identity)).build().unwrap();
        // In TLS 1.3 our handshake is over before the server has seen the certificate.
        let error = match connect(server.address, config).await {
            Err(error) => error.to_string(),
            Ok(mut stream) => {
                assert_eq!(version, "-tls1_3", "{what}");
                stream.read(&mut [0; 16]).await.unwrap_err().to_string()
            }
        };
        assert!(error.contains(alert), "{what}: {error}");
        server.process.finish().await;
    }
}

async fn our_client_with_a_certificate_resumes_at_openssl(version: &str) {
    if !require_or_skip("openssl") {
        return;
    }
    let world = World::new();
    let server_files = world.localhost_files(KeyType::P256);
    let identity = world.authority.issue(&leaf());
    let arguments = [
        version,
        "-Verify",
        "3",
        "-verify_return_error",
        "-CAfile",
        world.root(),
        "-naccept",
        "3",
    ];
    let server = s_server(&server_files, &arguments).await;
    let config = world
        .client()
        .certificate(certified(&identity))
        .session_cache(Arc::new(MemorySessionCache::new(16)))
        .build()
        .unwrap();
    let mut resumed = Vec::new();
    for _ in 0..3 {
        let mut stream = connect(server.address, config.clone()).await.unwrap();
        send(&mut stream, b"data after it\n").await;
        close(&mut stream).await;
        resumed.push(stream.info().is_resumed());
    }
    assert_eq!(resumed, [false, true, true]);
    let finished = server.process.finish().await;
    assert_no_error(&finished);
    let known = finished.text().matches("subject=CN = client.example").count();
    assert_eq!(known, 3, "{}", finished.text());
}
