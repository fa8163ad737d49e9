//! What holds of all messages, not only of those that a test thought of: of messages made at random, and of all bytes
//! that differ in one place from messages that real peers sent.

mod laws;
#[cfg(not(miri))]
mod recorded;
mod values;
mod values12;

use proptest::prelude::*;

use super::client_hello::ClientHello;
use super::{encode_message, end_of_early_data, tls12};
use crate::properties::config;
use laws::check_value;

/// How many messages of each type. Under Miri each costs a thousand times as much.
const CASES: u32 = if cfg!(miri) { 1 } else { 500 };

macro_rules! laws {
    ($($(#[$attribute:meta])* $name:ident($values:path);)*) => {
        proptest! {
            #![proptest_config(config(CASES))]
            $(#[test]
            fn $name(message in $values(), place in any::<usize>(), change in 1u8..) {
                check_value(&message, place, change);
            })*
        }
    };
}

/// Each is read as it was written, every prefix of it is refused, and so is a byte more; with another byte in it, it is
/// refused or another message of which the same holds.
mod made_at_random {
    use super::*;
    use super::{values as of13, values12 as of12};

    laws! {
        client_hello(of13::client_hello);
        server_hello(of13::server_hello);
        encrypted_extensions(of13::encrypted_extensions);
        certificate_request(of13::certificate_request);
        certificate(of13::certificate);
        certificate_verify(of13::certificate_verify);
        finished(of13::finished);
        key_update(of13::key_update);
        new_session_ticket(of13::new_session_ticket);
        tls12_certificate(of12::certificate);
        tls12_certificate_request(of12::certificate_request);
        tls12_certificate_status(of12::certificate_status);
        tls12_client_key_exchange(of12::client_key_exchange);
        tls12_server_key_exchange(of12::server_key_exchange);
        tls12_new_session_ticket(of12::new_session_ticket);
    }
}

#[test]
fn messages_without_content_have_none() {
    check_value(&end_of_early_data::EndOfEarlyData, 0, 1);
    check_value(&tls12::hello_request::HelloRequest, 0, 1);
    check_value(&tls12::server_hello_done::ServerHelloDone, 0, 1);
}

proptest! {
    #![proptest_config(config(CASES))]

    #[test]
    fn what_is_shown_of_a_hello_is_what_its_bytes_say(hello in values::client_hello(), place in 4usize.., change in any::<u8>()) {
        let mut message = Vec::new();
        encode_message(&hello, &mut message);
        let len = message.len();
        message[4 + place % (len - 4)] ^= change;
        if let Ok(shown) = ClientHello::parse(&message) {
            prop_assert_eq!(shown.raw(), &message[..]);
            let types: Vec<_> = shown.extensions().map(|(extension, _)| extension).collect();
            prop_assert_eq!(&types[..], shown.extension_types());
            let block: usize = shown.extensions().map(|(_, content)| 4 + content.len()).sum();
            let fixed = 35 + shown.session_id().len() + 2 + 2 * shown.cipher_suites().len() + 1 + shown.compression_methods().len();
            prop_assert!(len == 4 + fixed + 2 + block || (block == 0 && len == 4 + fixed));
        }
    }
}
