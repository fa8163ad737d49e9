//! What resumes, and what leads to a full handshake.

use super::*;

#[test]
fn every_suite_resumes_by_ticket_and_by_session_id() {
    for (suite, key_type) in [
        (
            CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
            KeyType::P256,
        ),
        (
            CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
            KeyType::P256,
        ),
        (
            CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
            KeyType::P256,
        ),
        (
            CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
            KeyType::Rsa2048,
        ),
        (
            CipherSuite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
            KeyType::Rsa2048,
        ),
        (
            CipherSuite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
            KeyType::Rsa2048,
        ),
    ] {
        let certified = certified(&identity(key_type));
        for by in BOTH {
            let builder = ServerConfig::builder()
                .certificate(certified.clone())
                .cipher_suites([suite]);
            let builder = match by {
                By::Ticket => builder,
                By::SessionId => builder.session_store(Arc::new(MemorySessionStore::new(100))),
            };
            let server = builder.build().unwrap();
            let cache = Arc::new(Held::default());
            let client = client_with(&cache);
            let first = full(&client, &server);
            assert_eq!(cache.get().ticket().is_empty(), by == By::SessionId);
            assert_eq!(cache.get().session_id().is_empty(), by == By::Ticket);
            for chunk in [usize::MAX, 1] {
                let ends = run(Pair::new(&client, &server).in_chunks_of(chunk), &client);
                let (ours, theirs) = (ends.client.negotiated(), ends.server.negotiated());
                assert!(ours.is_resumed(), "{suite} {by:?}");
                assert_eq!(ours.cipher_suite(), suite);
                assert_eq!((ours.group(), theirs.group()), (None, None));
                assert_eq!(ours.signature_scheme(), None);
                assert_eq!(
                    ours.peer_certificates(),
                    first.client.negotiated().peer_certificates()
                );
                ends.close();
            }
        }
    }
}

#[test]
fn a_session_is_reused_as_often_as_one_likes_and_takes_one_round_trip_less() {
    for by in BOTH {
        let server = server12(by).build().unwrap();
        let cache = Arc::new(MemorySessionCache::new(16));
        let client = client().session_cache(cache.clone()).build().unwrap();
        full(&client, &server);
        for _ in 0..5 {
            resumed(&client, &server);
        }
        let outcome = Pair::new(&client, &server).run();
        let types = |at: usize| -> Vec<u8> {
            records(&outcome.flights[at].bytes)
                .iter()
                .map(|(of, _)| *of)
                .collect()
        };
        assert_eq!(outcome.flights.len(), 3);
        assert_eq!(
            [types(0), types(1), types(2)],
            [vec![22], vec![22, 20, 22], vec![20, 22]]
        );
    }
}

#[test]
fn a_suite_that_is_no_longer_offered_or_accepted_means_a_full_handshake() {
    let suites = [
        CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
        CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
    ];
    for by in BOTH {
        let (cache, _, any) = with_session(by);
        let other = client()
            .session_cache(cache.clone())
            .cipher_suites([suites[1]])
            .build()
            .unwrap();
        full(&other, &any);

        let (keys, store) = (
            Arc::new(RotatingTicketKeys::new()),
            Arc::new(MemorySessionStore::new(9)),
        );
        let with_suite = |suite| {
            let builder = server().cipher_suites([suite]).ticket_keys(keys.clone());
            match by {
                By::Ticket => builder.build().unwrap(),
                By::SessionId => builder.session_store(store.clone()).build().unwrap(),
            }
        };
        let client = client_with(&Arc::default());
        full(&client, &with_suite(suites[0]));
        full(&client, &with_suite(suites[1]));
        resumed(&client, &with_suite(suites[1]));
    }
}

/// A clock to set.
#[derive(Clone)]
struct Hands(Arc<AtomicU64>);

impl Hands {
    fn new() -> Self {
        Self(Arc::new(AtomicU64::new(UnixTime::now().as_secs())))
    }

    fn clock(&self) -> impl Fn() -> UnixTime + Send + Sync + 'static {
        let hands = self.0.clone();
        move || UnixTime::since_unix_epoch(Duration::from_secs(hands.load(Relaxed)))
    }

    fn turn(&self, seconds: i64) {
        self.0
            .store(self.0.load(Relaxed).saturating_add_signed(seconds), Relaxed);
    }
}

#[test]
fn a_session_expires_for_either_side_also_when_a_clock_is_set_back() {
    for by in BOTH {
        for turned in [Side::Client, Side::Server] {
            for (seconds, still_good) in [(59, true), (61, false), (-59, true), (-61, false)] {
                let (ours, theirs) = (Hands::new(), Hands::new());
                let client = client()
                    .clock(ours.clock())
                    .session_cache(Arc::new(Held::default()))
                    .build()
                    .unwrap();
                let server = server12(by)
                    .clock(theirs.clock())
                    .session_lifetime(Duration::from_secs(60))
                    .build()
                    .unwrap();
                full(&client, &server);
                match turned {
                    Side::Client => ours.turn(seconds),
                    Side::Server => theirs.turn(seconds),
                }
                // A session id says nothing of its lifetime to the client: there 7200 seconds are assumed. But nothing
                // is from more than a minute in the future.
                let expected = still_good || (by, turned) == (By::SessionId, Side::Client) && seconds > 0;
                let ends = run(Pair::new(&client, &server), &client);
                assert_eq!(
                    ends.client.negotiated().is_resumed(),
                    expected,
                    "{by:?} {turned:?} {seconds}"
                );
            }
        }
    }
}

#[test]
fn the_chain_is_verified_again_by_the_roots_of_today() {
    for by in BOTH {
        let (keys, store) = (
            Arc::new(RotatingTicketKeys::new()),
            Arc::new(MemorySessionStore::new(9)),
        );
        let serve = |builder: ServerConfigBuilder| {
            let builder = builder.ticket_keys(keys.clone()).only(ProtocolVersion::TLS12);
            match by {
                By::Ticket => builder.build().unwrap(),
                By::SessionId => builder.session_store(store.clone()).build().unwrap(),
            }
        };
        let cache = Arc::new(Held::default());
        full(&client_with(&cache), &serve(server()));
        let other = Authority::new();
        let roots = RootStore::from_pem(other.root_pem().as_bytes()).unwrap();
        let distrustful = ClientConfig::builder()
            .roots(roots)
            .session_cache(cache.clone())
            .build()
            .unwrap();
        let today =
            serve(ServerConfig::builder().certificate(certified(&other.leaf(KeyType::P256, &[NAME]))));
        full(&distrustful, &today);
        resumed(&distrustful, &today);
    }
}

#[test]
fn tickets_outlive_a_rotation_of_their_keys_and_not_their_window() {
    let hands = Hands::new();
    let keys = Arc::new(
        RotatingTicketKeys::new()
            .with_rotation(Duration::from_secs(60))
            .with_clock(hands.clock()),
    );
    let cache = Arc::new(Held::default());
    let client = client_with(&cache);
    let server = server12(By::Ticket).ticket_keys(keys.clone()).build().unwrap();
    full(&client, &server);
    let first = cache.get();
    hands.turn(70);
    // Another client makes the keys rotate.
    full(&client_with(&Arc::default()), &server);
    resumed(&client, &server);
    hands.turn(120);
    full(&client, &server);
    assert_ne!(first.ticket()[..16], cache.get().ticket()[..16]);
    resumed(&client, &server);
    assert!(keys.retire(cache.get().ticket()[..16].try_into().unwrap()));
    full(&client, &server);
}

#[test]
fn a_server_that_gives_no_tickets_resumes_nothing() {
    for by in BOTH {
        let (keys, store) = (
            Arc::new(RotatingTicketKeys::new()),
            Arc::new(MemorySessionStore::new(9)),
        );
        let with_tickets = |count| {
            let builder = server12(by).tickets(count).ticket_keys(keys.clone());
            match by {
                By::Ticket => builder.build().unwrap(),
                By::SessionId => builder.session_store(store.clone()).build().unwrap(),
            }
        };
        let client = client_with(&Arc::default());
        full(&client, &with_tickets(1));
        full(&client, &with_tickets(0));
        full(&client, &with_tickets(0));
    }
}

#[test]
fn a_session_is_offered_only_where_its_version_is_spoken() {
    let cache = Arc::new(Held::default());
    let with = |version: ProtocolVersion| {
        client()
            .session_cache(cache.clone())
            .only(version)
            .build()
            .unwrap()
    };
    let (client12, client13) = (with(ProtocolVersion::TLS12), with(ProtocolVersion::TLS13));
    for by in BOTH {
        let builder = match by {
            By::Ticket => server(),
            By::SessionId => server().session_store(Arc::new(MemorySessionStore::new(9))),
        };
        let server = builder.build().unwrap();
        full(&client12, &server);
        let id = cache.get().session_id().to_vec();
        let (hello, outcome) = offered(&client13, &server);
        assert!(!outcome.established().client.negotiated().is_resumed());
        assert!(
            hello
                .extensions
                .iter()
                .all(|(of, _)| *of != SESSION_TICKET && *of != PRE_SHARED_KEY)
        );
        assert_ne!(hello.session_id, id);

        full(&client13, &server);
        assert_eq!(cache.get().version(), ProtocolVersion::TLS13);
        let (hello, outcome) = offered(&client12, &server);
        assert!(hello.extensions.iter().all(|(of, _)| *of != PRE_SHARED_KEY));
        assert!(hello.extension(SESSION_TICKET).is_empty());
        assert!(!outcome.established().client.negotiated().is_resumed());
    }
}

#[test]
fn a_session_of_one_version_meets_a_server_of_the_other() {
    for by in BOTH {
        let cache = Arc::new(Held::default());
        let client = client_with(&cache);
        let old = server12(by).build().unwrap();
        let new = server().only(ProtocolVersion::TLS13).build().unwrap();
        for _ in 0..2 {
            full(&client, &new);
            assert_eq!(cache.get().version(), ProtocolVersion::TLS13);
            full(&client, &old);
            assert_eq!(cache.get().version(), ProtocolVersion::TLS12);
        }
        resumed(&client, &old);
    }
}

#[derive(Debug, Default)]
struct Log(Mutex<Vec<(String, Vec<u8>)>>);

impl KeyLog for Log {
    fn log(&self, label: &str, client_random: &[u8; 32], _: &[u8]) {
        self.0
            .lock()
            .unwrap()
            .push((label.to_owned(), client_random.to_vec()));
    }
}

#[test]
fn exporters_and_key_log_differ_for_each_connection_of_a_session() {
    for by in BOTH {
        let logs = [Arc::new(Log::default()), Arc::new(Log::default())];
        let client = client()
            .session_cache(Arc::new(Held::default()))
            .key_log(logs[0].clone())
            .build()
            .unwrap();
        let server = server12(by).key_log(logs[1].clone()).build().unwrap();
        let mut exported = Vec::new();
        for round in 0..3 {
            let ends = match round {
                0 => full(&client, &server),
                _ => resumed(&client, &server),
            };
            let mut out = [0; 32];
            ends.client
                .export_keying_material(&mut out, b"EXPORTER-test", None)
                .unwrap();
            exported.push(out);
        }
        exported.sort_unstable();
        exported.dedup();
        assert_eq!(exported.len(), 3);
        assert_eq!(*logs[0].0.lock().unwrap(), *logs[1].0.lock().unwrap());
        let mut lines = logs[0].0.lock().unwrap().clone();
        assert!(lines.iter().all(|(label, _)| label == "CLIENT_RANDOM"));
        lines.sort_unstable();
        lines.dedup();
        assert_eq!(lines.len(), 3);
    }
}

#[test]
fn a_session_is_bound_to_its_application_protocol() {
    for by in BOTH {
        let (keys, store) = (
            Arc::new(RotatingTicketKeys::new()),
            Arc::new(MemorySessionStore::new(9)),
        );
        let with_alpn = |name: Option<&str>| {
            let builder = server12(by).ticket_keys(keys.clone()).alpn(name);
            match by {
                By::Ticket => builder.build().unwrap(),
                By::SessionId => builder.session_store(store.clone()).build().unwrap(),
            }
        };
        let client = client()
            .alpn(["a", "b"])
            .session_cache(Arc::new(Held::default()))
            .build()
            .unwrap();
        for name in [Some("a"), Some("b"), None] {
            full(&client, &with_alpn(name));
            let ends = resumed(&client, &with_alpn(name));
            assert_eq!(ends.client.negotiated().alpn(), name.map(str::as_bytes));
        }
    }
}
