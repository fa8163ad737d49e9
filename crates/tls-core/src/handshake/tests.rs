use core::task::{Context, Poll};
use std::io;

use rustls_pki_types::ServerName;

use super::{accept, connect};
use crate::config::{ClientConfig, ServerConfig};
use crate::error::Side;
use crate::hooks::{CertifiedKey, ConnectionContext};
use crate::peer::{Link, Peer};

/// Bytes that a handshake may take while it waits, hooks and IO not counted: there is one per connection in progress.
const MAX_FUTURE: usize = 2048;

struct Silent;

impl Link for Silent {
    fn poll_read(&mut self, _: &mut Context<'_>, _: &mut [u8]) -> Poll<io::Result<usize>> {
        Poll::Pending
    }

    fn poll_write(&mut self, _: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(buf.len()))
    }
}

fn size_if_send<F: Future + Send>(future: &F) -> usize {
    size_of_val(future)
}

#[test]
fn handshake_futures_are_send_and_small() {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".into()]).unwrap();
    let certified =
        CertifiedKey::from_pem(made.cert.pem().as_bytes(), made.signing_key.serialize_pem().as_bytes()).unwrap();
    let server_config = ServerConfig::builder().certificate(certified).build().unwrap();
    let client_config = ClientConfig::builder()
        .dangerously_accept_any_certificate()
        .build()
        .unwrap();
    let name = ServerName::try_from("localhost").unwrap();

    let mut link = Silent;
    let mut peer = Peer::new(Side::Client, &mut link, ConnectionContext::new());
    let client = size_if_send(&connect(&mut peer, &client_config, &name));
    let mut link = Silent;
    let mut peer = Peer::new(Side::Server, &mut link, ConnectionContext::new());
    let server = size_if_send(&accept(&mut peer, &server_config));
    assert!(
        client <= MAX_FUTURE && server <= MAX_FUTURE,
        "connect takes {client} bytes, accept {server}"
    );
}
