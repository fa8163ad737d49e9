//! Early data that somebody has recorded.

use tls_core::{Driver, Progress};

use super::*;

/// Tries at a time.
const AT_ONCE: usize = 100;

/// How often the same first flight is sent.
const TRIES: usize = 1000;

const REQUEST: &[u8] = b"GET /json HTTP/1.1\r\nHost: localhost\r\n\r\n";

/// Makes Redis say that it has been remembering for a minute. (What is ten years old expires: see `RedisReplayGuard`.)
async fn age(redis: &RedisServer) {
    let url = redis.url();
    let address = url.trim_start_matches("redis://").trim_end_matches('/');
    let mut tcp = TcpStream::connect(address).await.unwrap();
    let ten_years = 10_u64 * 365 * 24 * 60 * 60 * 1000;
    let command = format!("SET tls:replay 1 PX {}\r\n", ten_years - 60_000);
    tcp.write_all(command.as_bytes()).await.unwrap();
    let mut answer = [0; 5];
    tcp.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"+OK\r\n");
}

/// The first flight of a client with early data, and a session that this server has just made.
async fn first_flight(client: &Client, port: u16) -> Vec<u8> {
    let name = ServerName::try_from("localhost").unwrap();
    let tcp = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let mut stream = client.connector.connect(name.clone(), tcp).await.unwrap();
    stream.write_all(REQUEST).await.unwrap();
    let mut page = Vec::new();
    stream.read_to_end(&mut page).await.unwrap();
    assert!(page.starts_with(b"HTTP/1.1 200"));
    let config = client.connector.config();
    let mut driver = Driver::client_early(config, name, REQUEST.to_vec(), ConnectionContext::new());
    assert_eq!(driver.advance().unwrap(), Progress::Waiting);
    driver.transmit()
}

/// Sends a first flight, and nothing else ever. Returns how many bytes came back until the server gave up: more, by its
/// answer, if it accepted the early data.
async fn send(flight: Vec<u8>, port: u16) -> usize {
    let mut tcp = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    tcp.write_all(&flight).await.unwrap();
    tcp.shutdown().await.unwrap();
    let mut answer = Vec::new();
    timeout(LIMIT, tcp.read_to_end(&mut answer))
        .await
        .unwrap()
        .unwrap();
    answer.len()
}

#[tokio::test]
async fn a_recorded_first_flight_is_accepted_once_by_two_processes_in_a_thousand_tries() {
    let options = [&PATIENT[..], &["--http", "--early-data", "1000", "--alpn", ""]].concat();
    let Some(fleet) = Fleet::start(&options).await else {
        return;
    };
    let client = fleet.client(ProtocolVersion::TLS13);
    // A Redis that has just begun to remember accepts nothing.
    let flight = first_flight(&client, fleet.ports()[0]).await;
    let rejected = send(flight, fleet.ports()[1]).await;
    age(&fleet.redis).await;

    for round in 0..2 {
        let flight = first_flight(&client, fleet.ports()[round]).await;
        let mut sizes: Vec<usize> = Vec::new();
        let mut tries = JoinSet::new();
        for number in 0..TRIES {
            tries.spawn(send(flight.clone(), fleet.ports()[number % 2]));
            if tries.len() == AT_ONCE {
                sizes.push(tries.join_next().await.unwrap().unwrap());
            }
        }
        while let Some(size) = tries.join_next().await {
            sizes.push(size.unwrap());
        }
        assert_eq!(sizes.len(), TRIES);
        // The extension early_data is 4 bytes longer; an answer is some hundred.
        let accepted = sizes.iter().filter(|size| **size > rejected + 100).count();
        println!("accepted {accepted} of {TRIES} times, {rejected} bytes without");
        assert_eq!(accepted, 1);
        assert!(sizes.iter().all(|size| *size >= rejected));
    }
}
