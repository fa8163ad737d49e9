//! A first flight that is sent again.

use tls_core::{Answer, HookError, NoReplayGuard, RotatingTicketKeys, TicketKey, TicketKeys};
use tls_tokio::{TlsAcceptor, TlsConnector};
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
use tokio::time::{Instant, sleep};

use super::*;

#[test]
fn a_first_flight_sent_twice_is_accepted_once_by_servers_that_share_a_guard() {
    let (keys, guard) = (
        Arc::new(RotatingTicketKeys::new()),
        Arc::new(MemoryReplayGuard::default().with_new_keys()),
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
    let keys = Arc::new(RotatingTicketKeys::new());
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

#[test]
fn a_clock_that_was_set_back_does_not_make_replays_fresh_for_ever() {
    let (theirs, ours) = (Time::now(), Time::now());
    let guard_time = Arc::new(AtomicU64::new(0));
    let seconds = Arc::clone(&guard_time);
    let guard = MemoryReplayGuard::new(100)
        .with_clock(move || Duration::from_secs(seconds.load(Relaxed)))
        .with_new_keys();
    let server = server()
        .clock(theirs.clock())
        .replay_guard(Arc::new(guard))
        .build()
        .unwrap();
    let client = client().clock(ours.clock()).build().unwrap();
    meet(&client, &server);
    ours.pass(1);
    theirs.pass(1);
    let (_, flight) = early_client(&client, b"pay");
    theirs.0.fetch_sub(600, Relaxed);
    let mut accepted = 0;
    for _ in 0..20 {
        if is_accepted(&mut early_server(&server, &flight)) {
            accepted += 1;
        }
        theirs.pass(30);
        guard_time.fetch_add(30, Relaxed);
    }
    // Once the clock has caught up it may be: its first reader takes it then.
    assert!(accepted <= 1, "accepted {accepted} times");
}

/// Ticket keys whose answer takes its time from the second look on.
#[derive(Debug)]
struct Slow(RotatingTicketKeys, AtomicU64);
impl TicketKeys for Slow {
    fn sealing_key<'a>(
        &'a self,
        context: &'a ConnectionContext,
    ) -> Answer<'a, Result<Option<TicketKey>, HookError>> {
        self.0.sealing_key(context)
    }
    fn opening_key<'a>(
        &'a self,
        id: &'a [u8; 16],
        context: &'a ConnectionContext,
    ) -> Answer<'a, Result<Option<TicketKey>, HookError>> {
        let key = self.0.opening_key(id, context);
        let delay = self.1.load(Relaxed);
        Answer::later(async move {
            sleep(Duration::from_secs(delay)).await;
            match key {
                Answer::Now(key) => key,
                Answer::Later(key) => key.await,
            }
        })
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_hook_does_not_outlast_the_memory_of_the_guard() {
    let base = Instant::now();
    let keys = Arc::new(Slow(RotatingTicketKeys::new(), AtomicU64::new(0)));
    let guard = MemoryReplayGuard::new(100)
        .with_clock(move || base.elapsed())
        .with_new_keys();
    let start = UnixTime::now().as_secs();
    // The client's clock was set forward a little since it had its ticket.
    let client_clock = Arc::new(AtomicU64::new(0));
    let c = client_clock.clone();
    let server = server()
        .ticket_keys(keys.clone())
        .replay_guard(Arc::new(guard))
        .clock(move || UnixTime::since_unix_epoch(Duration::from_secs(start) + base.elapsed()));
    let client = client().clock(move || {
        UnixTime::since_unix_epoch(Duration::from_secs(start + c.load(Relaxed)) + base.elapsed())
    });
    let connector = TlsConnector::new(client.build().unwrap());
    let acceptor = TlsAcceptor::new(server.build().unwrap());
    let (ours, theirs) = duplex(64 * 1024);
    let (client, server) = tokio::join!(connector.connect(name(NAME), ours), acceptor.accept(theirs));
    let (mut client, mut server) = (client.unwrap(), server.unwrap());
    server.write_all(b"x").await.unwrap();
    client.read_exact(&mut [0]).await.unwrap();
    client_clock.store(9, Relaxed);
    let (_, flight) = early_client(connector.config(), b"pay");
    let mut accepted = 0;
    for (wait, delay) in [(0, 0), (19, 3)] {
        sleep(Duration::from_secs(wait)).await;
        keys.1.store(delay, Relaxed);
        let (mut ours, theirs) = duplex(64 * 1024);
        ours.write_all(&flight).await.unwrap();
        let early = acceptor.accept_early(theirs).await.unwrap();
        accepted += u32::from(early.negotiated().early_data() == EarlyData::Accepted);
    }
    assert_eq!(accepted, 1);
}
