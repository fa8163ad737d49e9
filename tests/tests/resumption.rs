//! Resumption between our own two sides.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::sync::Arc;

use tls_core::{CertifiedKey, ClientConfig, Driver, Progress, RootStore, ServerConfig, ServerName};

#[test]
fn psk_smoke() {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".into()]).unwrap();
    let certified = CertifiedKey::from_pem(
        made.cert.pem().as_bytes(),
        made.signing_key.serialize_pem().as_bytes(),
    )
    .unwrap();
    let server_config = ServerConfig::builder().certificate(certified).build().unwrap();
    let cache = Arc::new(tls_tokio::MemorySessionCache::new(10));
    let client_config = ClientConfig::builder()
        .roots(RootStore::from_pem(made.cert.pem().as_bytes()).unwrap())
        .session_cache(cache.clone())
        .build()
        .unwrap();
    for round in 0..3 {
        let name = ServerName::try_from("localhost").unwrap();
        let mut client = Driver::client(&client_config, name.clone());
        let mut server = Driver::server(&server_config);
        let mut flights = Vec::new();
        for _ in 0..5 {
            let a = client.advance().unwrap();
            let bytes = client.transmit();
            flights.push(bytes.len());
            server.receive(&bytes);
            let b = server.advance().unwrap();
            let bytes = server.transmit();
            flights.push(bytes.len());
            client.receive(&bytes);
            if a == Progress::Done && b == Progress::Done {
                break;
            }
        }
        let mut client = client.into_connection().unwrap();
        let server = server.into_connection().unwrap();
        println!("{flights:?}");
        assert_eq!(client.negotiated().is_resumed(), round > 0);
        assert_eq!(server.negotiated().is_resumed(), round > 0);
        client.reader.process().unwrap();
        let key = client_config.session_key(&name);
        let mut count = 0;
        while let Some(session) = client.reader.take_session() {
            use tls_core::ClientSessionCache as _;
            let _ = cache.put(&key, session, &tls_core::ConnectionContext::new());
            count += 1;
        }
        assert_eq!(count, 2);
    }
}
