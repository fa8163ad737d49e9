//! A first flight that is sent again.

use tls_core::NoReplayGuard;

use super::*;

#[test]
fn a_first_flight_sent_twice_is_accepted_once_by_servers_that_share_a_guard() {
    let (keys, guard) = (
        Arc::new(tls_core::RotatingTicketKeys::new()),
        Arc::new(tls_core::MemoryReplayGuard::default()),
    );
    let server = || {
        let server = server().ticket_keys(keys.clone()).replay_guard(guard.clone());
        server.build().unwrap()
    };
    let (first, second) = (server(), server());
    let client = client().build().unwrap();
    meet(&client, &first);
    let (ours, flight) = early_client(&client, b"once");
    let mut accepted = early_server(&first, &flight);
    assert!(is_accepted(&mut accepted));
    for server in [&first, &second, &first] {
        let mut replayed = early_server(server, &flight);
        assert!(!is_accepted(&mut replayed));
        assert_eq!(
            read(replayed.early().unwrap()).unwrap(),
            (Vec::new(), ReadEvent::Closed)
        );
    }
    let (mut ours, mut theirs) = finish(ours, accepted);
    assert_eq!(received(&mut theirs), b"once");
    check(&mut ours, &mut theirs);
}

#[test]
fn servers_that_share_keys_but_no_guard_accept_it_once_each() {
    let keys = Arc::new(tls_core::RotatingTicketKeys::new());
    let [first, second] = [(), ()].map(|()| server().ticket_keys(keys.clone()).build().unwrap());
    let client = client().build().unwrap();
    meet(&client, &first);
    let (_, flight) = early_client(&client, b"twice");
    assert!(is_accepted(&mut early_server(&first, &flight)));
    assert!(is_accepted(&mut early_server(&second, &flight)));
}

#[test]
fn a_guard_that_says_no_costs_the_early_data_and_not_the_resumption() {
    let server = server().replay_guard(Arc::new(NoReplayGuard)).build().unwrap();
    let client = client().build().unwrap();
    meet(&client, &server);
    let (ours, flight) = early_client(&client, b"early");
    let mut theirs = early_server(&server, &flight);
    assert!(!is_accepted(&mut theirs));
    let (mut ours, mut theirs) = finish(ours, theirs);
    assert!(ours.negotiated().is_resumed());
    check(&mut ours, &mut theirs);
}
