//! Roots and revocation lists that are replaced.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;
use tls_core::{
    AlertDescription, ClientAuth, ClientConfig, ClientConfigBuilder, ProtocolVersion, ServerConfig, Side,
};
use tls_tests::both_versions;
use tls_tests::pair::{self, Pair, certified};
use tls_tests::pki::{Authority, Identity, KeyType, Leaf};
use tls_tests::versions::Only;
use tls_tokio::{MemorySessionCache, ReloadingVerifier, ReloadingVerifierBuilder};

use crate::connections::{greet, handshake};
use crate::{INTERVAL, Reports, an_interval, replace};

type A = AlertDescription;

both_versions!(
    async clients_are_judged_by_what_is_trusted_now,
    a_client_that_is_revoked_keeps_its_connection_and_loses_its_session,
    a_server_that_is_not_trusted_any_more_is_refused_although_there_is_a_session,
);

/// A directory with roots and lists.
struct Trust {
    directory: TempDir,
    reports: Reports,
}

impl Trust {
    fn new(authority: &Authority) -> Self {
        let it = Self {
            directory: TempDir::new().unwrap(),
            reports: Reports::default(),
        };
        replace(&it.roots(), authority.root_pem());
        replace(&it.lists(), authority.revocation_lists(&[]));
        it
    }

    fn file(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn roots(&self) -> PathBuf {
        self.file("ca.pem")
    }

    fn lists(&self) -> PathBuf {
        self.file("crl.pem")
    }

    fn builder(&self) -> ReloadingVerifierBuilder {
        ReloadingVerifier::builder(self.roots())
            .interval(INTERVAL)
            .on_reload(self.reports.callback())
    }
}

fn client_of(authority: &Authority) -> Identity {
    authority.issue(&Leaf::new(KeyType::P256, &["client.test"]).client())
}

fn client(version: ProtocolVersion, identity: &Identity) -> ClientConfig {
    with_cache(pair::client().certificate(certified(identity)), version)
}

fn with_cache(client: ClientConfigBuilder, version: ProtocolVersion) -> ClientConfig {
    let cache = Arc::new(MemorySessionCache::new(10));
    client.only(version).session_cache(cache).build().unwrap()
}

fn server(verifier: ReloadingVerifier) -> ServerConfig {
    pair::server()
        .client_auth(ClientAuth::required(Arc::new(verifier)))
        .build()
        .unwrap()
}

fn accepts(client: &ClientConfig, server: &ServerConfig) {
    Pair::new(client, server).run().established().check(b"data");
}

fn refuses(client: &ClientConfig, server: &ServerConfig, alert: AlertDescription) {
    drop(Pair::new(client, server).run().refused_by(Side::Server, alert));
}

async fn clients_are_judged_by_what_is_trusted_now(version: ProtocolVersion) {
    let (one, two) = (Authority::new(), Authority::new());
    let trust = Trust::new(&one);
    let server = server(trust.builder().load().await.unwrap());
    let clients = [&one, &two].map(|authority| client(version, &client_of(authority)));
    accepts(&clients[0], &server);
    refuses(&clients[1], &server, A::UNKNOWN_CA);

    replace(&trust.roots(), one.root_pem() + &two.root_pem());
    an_interval().await;
    accepts(&clients[0], &server);
    accepts(&clients[1], &server);

    replace(&trust.roots(), two.root_pem());
    an_interval().await;
    refuses(&clients[0], &server, A::UNKNOWN_CA);
    accepts(&clients[1], &server);
    assert_eq!(trust.reports.take(), ["ok ca.pem"; 2]);

    for (broken, what) in [("", "no certificate"), (&one.root_pem()[..200], "ca.pem")] {
        replace(&trust.roots(), broken);
        for _ in 0..2 {
            an_interval().await;
            accepts(&clients[1], &server);
        }
        trust.reports.assert_failed(what);
    }
}

async fn a_client_that_is_revoked_keeps_its_connection_and_loses_its_session(version: ProtocolVersion) {
    let authority = Authority::new();
    let trust = Trust::new(&authority);
    let server = server(
        trust
            .builder()
            .revocation_lists(trust.lists())
            .load()
            .await
            .unwrap(),
    );
    let (good, bad) = (client_of(&authority), client_of(&authority));
    let [good_client, bad_client] = [&good, &bad].map(|identity| client(version, identity));
    let limit = Duration::from_secs(10);
    let mut before = handshake(&bad_client, &server, limit).await;
    greet(&mut before).await;
    let mut resumed = handshake(&bad_client, &server, limit).await;
    greet(&mut resumed).await;
    assert!(resumed.0.info().is_resumed());

    replace(&trust.lists(), authority.revocation_lists(&[&bad]));
    an_interval().await;
    assert_eq!(trust.reports.take(), ["ok ca.pem"]);
    greet(&mut before).await;
    refuses(&bad_client, &server, A::CERTIFICATE_REVOKED);
    accepts(&good_client, &server);
}

async fn a_server_that_is_not_trusted_any_more_is_refused_although_there_is_a_session(
    version: ProtocolVersion,
) {
    let (one, two) = (Authority::new(), Authority::new());
    let trust = Trust::new(&one);
    let identity = one.leaf(KeyType::P256, &[pair::NAME]);
    let server = ServerConfig::builder()
        .certificate(certified(&identity))
        .build()
        .unwrap();
    let verifier = Arc::new(trust.builder().load().await.unwrap());
    let client = with_cache(ClientConfig::builder().verifier(verifier), version);
    let limit = Duration::from_secs(10);
    for is_resumed in [false, true] {
        let mut ends = handshake(&client, &server, limit).await;
        assert_eq!(ends.0.info().is_resumed(), is_resumed);
        greet(&mut ends).await;
    }
    replace(&trust.roots(), two.root_pem());
    an_interval().await;
    drop(
        Pair::new(&client, &server)
            .run()
            .refused_by(Side::Client, A::UNKNOWN_CA),
    );
}

#[tokio::test(start_paused = true)]
async fn a_list_that_is_no_good_changes_nothing_and_one_that_expired_refuses_all() {
    let version = ProtocolVersion::TLS13;
    let authority = Authority::new();
    let trust = Trust::new(&authority);
    let second = trust.file("second.pem");
    fs::write(&second, authority.revocation_lists(&[])).unwrap();
    let builder = trust
        .builder()
        .revocation_lists(trust.lists())
        .revocation_lists(&second);
    let server = server(builder.load().await.unwrap());
    let client = client(version, &client_of(&authority));
    accepts(&client, &server);
    let half = &authority.revocation_lists(&[])[..200];
    for (broken, what) in [("", "no certificate revocation list"), (half, "CRL PEM")] {
        replace(&second, broken);
        for _ in 0..2 {
            an_interval().await;
            accepts(&client, &server);
        }
        trust.reports.assert_failed(what);
    }
    fs::remove_file(&second).unwrap();
    an_interval().await;
    trust.reports.assert_failed("second.pem: No such file");
    accepts(&client, &server);

    let expired = authority.revocation_lists_until(2021, &[]);
    replace(&second, &expired);
    replace(&trust.lists(), &expired);
    an_interval().await;
    assert_eq!(trust.reports.take(), ["ok ca.pem"]);
    refuses(&client, &server, A::CERTIFICATE_UNKNOWN);
}

#[tokio::test(start_paused = true)]
async fn lists_are_taken_as_strictly_as_the_policy_says_each_time() {
    let authority = Authority::new();
    let trust = Trust::new(&authority);
    let identity = client_of(&authority);
    let client = client(ProtocolVersion::TLS13, &identity);
    let load = async || {
        let builder = trust.builder().revocation_lists(trust.lists());
        builder
            .revocation_policy(|lists| lists.allow_expired())
            .load()
            .await
            .unwrap()
    };
    replace(&trust.lists(), authority.revocation_lists_until(2021, &[]));
    let server = server(load().await);
    accepts(&client, &server);
    replace(
        &trust.lists(),
        authority.revocation_lists_until(2022, &[&identity]),
    );
    an_interval().await;
    refuses(&client, &server, A::CERTIFICATE_REVOKED);
    replace(&trust.lists(), authority.revocation_lists_until(2022, &[]));
    an_interval().await;
    accepts(&client, &server);
}

#[tokio::test(start_paused = true)]
async fn trust_that_cannot_be_read_at_the_beginning_is_an_error() {
    let trust = Trust::new(&Authority::new());
    let missing = trust.file("missing.pem");
    let refused = async |builder: ReloadingVerifierBuilder| builder.load().await.unwrap_err().to_string();
    let assert_missing = |error: String| assert!(error.contains("missing.pem: No such file"), "{error}");
    assert_missing(refused(trust.builder().revocation_lists(&missing)).await);
    assert_missing(refused(ReloadingVerifier::builder(&missing)).await);
    let wrong = refused(ReloadingVerifier::builder(trust.lists())).await;
    assert!(wrong.contains("no certificate in the root PEM"), "{wrong}");
    assert_eq!(tokio::runtime::Handle::current().metrics().num_alive_tasks(), 0);
}
