//! One client, two servers.

use tls_core::ProtocolVersion;

use crate::{Fleet, PATIENT};

#[tokio::test]
async fn a_session_of_one_server_resumes_at_the_other() {
    for more in [&[][..], &["--stateful"]] {
        let Some(fleet) = Fleet::start(&[&PATIENT[..], more].concat()).await else {
            return;
        };
        for version in [ProtocolVersion::TLS12, ProtocolVersion::TLS13] {
            let client = fleet.client(version);
            let mut resumed = Vec::new();
            for server in [0, 1, 0, 0, 1, 1] {
                resumed.push(client.visit(fleet.servers[server].port).await.unwrap());
            }
            assert_eq!(
                resumed,
                [false, true, true, true, true, true],
                "{version} {more:?}"
            );
        }
    }
}

#[tokio::test]
async fn a_server_that_does_not_share_the_redis_resumes_nothing() {
    for more in [&[][..], &["--stateful"]] {
        let Some(fleet) = Fleet::start(&[&PATIENT[..], more].concat()).await else {
            return;
        };
        let stranger = fleet.serve(more).await;
        for version in [ProtocolVersion::TLS12, ProtocolVersion::TLS13] {
            let client = fleet.client(version);
            assert!(!client.visit(fleet.servers[0].port).await.unwrap());
            assert!(!client.visit(stranger.port).await.unwrap(), "{version} {more:?}");
            assert!(client.visit(stranger.port).await.unwrap(), "its own");
        }
    }
}
